"""Writes that are made together: which are made, when, and in which order."""

from __future__ import annotations

import asyncio
from typing import Any

from services.gateway.corking import Cork


class Transport:
    """Notes in a list that is shared what is written to it."""

    def __init__(self, name: str, written: list[tuple[str, bytes]]) -> None:
        self._name = name
        self._written = written
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        assert not self.closing
        self._written.append((self._name, data))


async def test_what_a_turn_writes_besides_goes_out_at_its_end_in_order() -> None:
    written: list[tuple[str, bytes]] = []
    a: Any = Transport("a", written)
    b: Any = Transport("b", written)
    cork = Cork(asyncio.get_running_loop())
    for transport, data in ((a, b"1"), (b, b"2"), (a, b"3")):
        cork.write(transport, data)
    assert written == [("a", b"1")]
    await asyncio.sleep(0)
    assert written == [("a", b"1"), ("b", b"2"), ("a", b"3")]


async def test_after_a_turn_with_several_the_first_waits_too_until_there_was_one_with_one() -> None:
    written: list[tuple[str, bytes]] = []
    a: Any = Transport("a", written)
    cork = Cork(asyncio.get_running_loop())
    at_once = []
    for writes in (2, 2, 1, 1, 1):
        before = len(written)
        for _ in range(writes):
            cork.write(a, b"x")
        at_once.append(len(written) - before)
        await asyncio.sleep(0)
        assert len(written) == before + writes
    assert at_once == [1, 0, 0, 1, 1]


async def test_what_is_flushed_is_not_written_again_and_what_follows_is_not_forgotten() -> None:
    written: list[tuple[str, bytes]] = []
    a: Any = Transport("a", written)
    cork = Cork(asyncio.get_running_loop())
    cork.write(a, b"1")
    cork.write(a, b"2")
    cork.flush()
    assert written == [("a", b"1"), ("a", b"2")]
    cork.write(a, b"3")
    await asyncio.sleep(0)
    assert written == [("a", b"1"), ("a", b"2"), ("a", b"3")]


async def test_nothing_is_written_to_what_was_closed_meanwhile() -> None:
    written: list[tuple[str, bytes]] = []
    a: Any = Transport("a", written)
    b: Any = Transport("b", written)
    cork = Cork(asyncio.get_running_loop())
    cork.write(b, b"1")
    cork.write(a, b"2")
    cork.write(b, b"3")
    a.closing = True
    await asyncio.sleep(0)
    assert written == [("b", b"1"), ("b", b"3")]
