"""Addresses of hosts, remembered for a while; those who ask at the same time share one look-up."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from itertools import chain, zip_longest
from typing import NamedTuple

REMEMBERED = 1024


class Address(NamedTuple):
    """Where to connect to. ``host`` is a number, not a name."""

    host: str
    port: int


class _Known(NamedTuple):
    until: float
    addresses: list[Address]


class Addresses:
    """A resolver through the loop's, for which ``seconds`` old answers are good."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._known: dict[Address, _Known] = {}
        self._asked: dict[Address, asyncio.Task[list[Address]]] = {}

    async def find(self, host: str, port: int) -> list[Address]:
        """Return the host's addresses, families in turn. Raises OSError."""
        named = Address(host, port)
        if _is_number(host):
            return [named]
        known = self._known.get(named)
        if known is not None and self._loop.time() < known.until:
            return known.addresses
        asked = self._asked.get(named)
        if asked is None:
            asked = self._asked[named] = self._loop.create_task(self._ask(named))
            asked.add_done_callback(lambda task: self._on_answer(named, task))
        return await asyncio.shield(asked)

    def close(self) -> None:
        """Give up what is being looked up."""
        for asked in self._asked.values():
            asked.cancel()

    async def _ask(self, named: Address) -> list[Address]:
        found = await self._loop.getaddrinfo(named.host, named.port, type=socket.SOCK_STREAM)
        by_family: dict[int, list[Address]] = {}
        for family, _, _, _, (host, *_) in found:
            by_family.setdefault(family, []).append(Address(str(host), named.port))
        in_turn = chain.from_iterable(zip_longest(*by_family.values()))
        return [address for address in in_turn if address is not None]

    def _on_answer(self, named: Address, task: asyncio.Task[list[Address]]) -> None:
        del self._asked[named]
        if task.cancelled() or task.exception() is not None:
            return
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[named] = _Known(self._loop.time() + self._seconds, task.result())


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
