"""Which connection is taken, which are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.gateway.transport.connection import Connection, Deadlines
from services.gateway.transport.limits import Limits
from services.gateway.transport.origins import Origin
from services.gateway.transport.pool import Pool

HERE, THERE = Origin(False, "a.test", 80), Origin(True, "a.test", 443)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LIMITS = Limits(idle_connections=3, idle_seconds=20, age_seconds=100)


class Transport:
    """A transport on which nothing happens."""

    def __init__(self) -> None:
        self.aborted = False
        self.written: list[bytes] = []
        self.waiting_bytes = 0

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes


class Loop:
    """As much of a loop as a pool needs."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._soon.append(callback)

    def turn(self) -> None:
        """End the turn that it is in."""
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()

    def time(self) -> float:
        return self.now

    def call_at(self, _: float, __: Any) -> asyncio.Handle:
        return asyncio.get_running_loop().call_soon(lambda: None)

    call_later = call_at


class Made:
    """A pool with a clock, and connections in it."""

    def __init__(self) -> None:
        self.loop: Any = Loop()
        self.pool = Pool(self.loop, LIMITS)

    def connection(self, origin: Origin = HERE) -> tuple[Connection, Transport]:
        connection, transport = self.pool.new(origin), Transport()
        like_one: Any = transport
        connection.connection_made(like_one)
        return connection, transport

    def use(self, connection: Connection, answer: bytes = WHOLE) -> None:
        connection.ask(b"head", b"", Deadlines(self.loop.now + 60))
        self.loop.turn()
        connection.data_received(answer)

    def idle(self, count: int = 1, origin: Origin = HERE) -> list[Connection]:
        connections = [self.connection(origin)[0] for _ in range(count)]
        for connection in connections:
            self.use(connection)
        return connections


@pytest.fixture
async def made() -> Made:
    return Made()


async def test_the_one_used_last_is_taken_first(made: Made) -> None:
    first, second = made.idle(2)
    assert made.pool.take(HERE, 0) is second
    assert made.pool.take(HERE, 0) is first
    assert made.pool.take(HERE, 0) is None


async def test_origins_do_not_mix(made: Made) -> None:
    made.idle(1, HERE)
    assert made.pool.take(THERE, 0) is None
    assert made.pool.take(HERE, 0) is not None


async def test_no_more_wait_than_the_limit(made: Made) -> None:
    connections = made.idle(5)
    assert made.pool.idle_connections == 3
    assert [connection.open for connection in connections] == [True, True, True, False, False]


@pytest.mark.parametrize(("idle_for", "taken"), [(19, True), (20, False)])
async def test_one_that_waited_too_long_is_ended(made: Made, idle_for: float, taken: bool) -> None:
    (connection,) = made.idle()
    assert (made.pool.take(HERE, idle_for) is connection) is taken
    assert connection.open is taken


async def test_one_that_is_too_old_is_ended_rather_than_kept(made: Made) -> None:
    connection, _ = made.connection()
    made.loop.now = 100
    made.use(connection)
    assert not connection.open
    assert made.pool.idle_connections == 0


async def test_one_that_the_server_closes_is_not_taken(made: Made) -> None:
    first, second = made.idle(2)
    second.eof_received()
    assert made.pool.take(HERE, 0) is first
    first.connection_lost(None)
    second.connection_lost(None)
    assert made.pool.open_connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE + b"x",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"garbage\r\n",
    ],
)
async def test_after_such_an_answer_it_is_ended(made: Made, answer: bytes) -> None:
    connection, transport = made.connection()
    made.use(connection, answer)
    assert transport.aborted
    assert made.pool.take(HERE, 0) is None


async def test_it_is_ended_when_the_request_was_not_all_sent(made: Made) -> None:
    connection, transport = made.connection()
    transport.waiting_bytes = 1
    made.use(connection)
    assert transport.aborted


async def test_bytes_without_a_request_end_it(made: Made) -> None:
    (connection,) = made.idle()
    connection.data_received(WHOLE)
    assert not connection.open


async def test_a_small_request_is_one_write(made: Made) -> None:
    connection, transport = made.connection()
    connection.ask(b"head", b"body", Deadlines(60))
    assert transport.written == [b"headbody"]


async def test_an_answer_that_comes_before_its_request_is_sent_ends_it(made: Made) -> None:
    (first, _), (connection, transport) = made.connection(), made.connection()
    first.ask(b"head", b"body", Deadlines(60))
    connection.ask(b"head", b"body", Deadlines(60))
    connection.data_received(WHOLE)
    made.loop.turn()
    assert transport.aborted
    assert transport.written == [], "nobody would take the answer for its own"
    assert made.pool.take(HERE, 0) is None


async def test_a_large_body_is_not_written_before_what_was_held_back(made: Made) -> None:
    (first, _), (second, of_second), (third, of_third) = (made.connection() for _ in range(3))
    for connection in (first, second):
        connection.ask(b"head", b"body", Deadlines(60))
    assert of_second.written == []
    third.ask(b"head", bytes(1_000_000), Deadlines(60))
    assert of_second.written == [b"headbody"]
    assert sum(map(len, of_third.written)) == 1_000_004


async def test_a_large_body_waits_for_the_server(made: Made) -> None:
    connection, transport = made.connection()
    connection.pause_writing()
    connection.ask(b"head", bytes(1_000_000), Deadlines(60))
    assert [len(piece) for piece in transport.written] == [4]
    connection.resume_writing()
    assert sum(map(len, transport.written)) == 1_000_004
