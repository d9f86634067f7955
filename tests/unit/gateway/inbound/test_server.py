"""The server on real sockets: accepting, draining, and connections that fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from services.gateway.inbound import server as module
from services.gateway.inbound.connection import Handler
from services.gateway.inbound.limits import CallerLimits
from services.gateway.inbound.server import CallerServer
from services.gateway.inbound.turn import Turn
from services.gateway.server import listen
from tests.unit.gateway.inbound.callers import echo

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LIMITS = CallerLimits(body_bytes=1000)


@dataclass
class Running:
    """A server, and the way to it."""

    port: int
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def running(
    handler: Handler, limits: CallerLimits = LIMITS, grace: float = 5.0
) -> AsyncIterator[Running]:
    bound, stop = listen("127.0.0.1", 0), asyncio.Event()
    port = bound.getsockname()[1]
    task = asyncio.create_task(CallerServer(handler, limits).serve_until(bound, stop, grace_seconds=grace))
    try:
        yield Running(port, stop, task)
    finally:
        stop.set()
        await task


async def test_an_answer_has_a_date_and_the_connection_is_kept() -> None:
    async with running(echo) as server:
        reader, writer = await server.connect()
        for _ in range(2):
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
            assert await reader.readexactly(6) == b"GET / "
        writer.close()


async def test_half_a_close_counts_as_hanging_up() -> None:
    cancelled = asyncio.Event()

    async def endless(turn: Turn) -> None:  # noqa: ARG001
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with running(endless) as server:
        reader, writer = await server.connect()
        writer.write(GET)
        writer.write_eof()
        assert await reader.read() == b""
        await cancelled.wait()
        writer.close()


async def test_a_stop_waits_for_what_is_being_served_and_for_nobody_else() -> None:
    gate = asyncio.Event()
    begun = asyncio.Event()

    async def gated(turn: Turn) -> None:
        begun.set()
        await asyncio.get_running_loop().create_task(gate.wait())
        await echo(turn)

    async with running(gated) as server:
        idle_reader, idle = await server.connect()
        reader, writer = await server.connect()
        writer.write(GET)
        await begun.wait()
        server.stop.set()
        assert await idle_reader.read() == b""
        with pytest.raises(OSError, match="Connect call failed"):
            await server.connect()
        assert not server.task.done()
        gate.set()
        assert b"connection: close" in await reader.read()
        await server.task
        idle.close()
        writer.close()


async def test_a_stop_does_not_wait_for_ever() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(turn: Turn) -> None:  # noqa: ARG001
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with running(endless, grace=0.0) as server:
        reader, writer = await server.connect()
        writer.write(GET)
        await begun.wait()
        server.stop.set()
        await server.task
        assert cancelled.is_set()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"", GET[:5], b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel"]
)
async def test_who_falls_silent_is_let_go(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    async with running(echo, CallerLimits(body_bytes=1000, patience_seconds=0.05)) as server:
        reader, writer = await server.connect()
        writer.write(sent)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_who_waits_for_an_answer_is_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)

    async def slow(turn: Turn) -> None:
        await asyncio.get_running_loop().create_task(asyncio.sleep(0.2))
        await echo(turn)

    async with running(slow, CallerLimits(body_bytes=1000, patience_seconds=0.05)) as server:
        reader, writer = await server.connect()
        writer.write(GET)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
