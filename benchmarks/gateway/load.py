"""A closed loop of keep-alive connections: each asks again as soon as its answer is whole and checked.

Raw protocols on one event loop, so that it keeps up with every contender. Its own CPU is not counted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import httptools

from benchmarks.gateway.workloads import END_OF_ANSWER, Workload

DRAIN_SECONDS = 60.0
_END_OF_TEXT = END_OF_ANSWER.encode()


class BadAnswer(Exception):
    """An answer that is not the expected one, or none at all. Any of them fails the run."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send requests, and under which names the upstream is known there."""

    port: int
    path: str
    models: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()

    def request(self, body: bytes, unit: int) -> bytes:
        """Return a whole HTTP request."""
        given = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nuser-agent: bench\r\n"
            f"accept: application/json\r\ncontent-type: application/json\r\n{given}"
            f"x-headgate-unit: unit-{unit:06d}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def requests(self, workload: Workload, count: int) -> list[bytes]:
        """Return requests of different units, to every model in turn."""
        models = itertools.cycle(self.models)
        return [self.request(workload.body(next(models)), unit) for unit in range(count)]


@dataclass(frozen=True, slots=True)
class Answered:
    """Requests that were answered as they should be, and how long that took."""

    requests: int
    seconds: float


class Load:
    """Connections to one target, open from entering to leaving."""

    def __init__(
        self, target: Target, workload: Workload, requests: Sequence[bytes], connections: int
    ) -> None:
        self._target = target
        self._workload = workload
        self._requests: Iterator[bytes] = itertools.cycle(requests)
        self._connections = connections
        self._callers: list[_Caller] = []
        self._length: int | None = None
        self._give_up_asking_at = 0.0
        self._left = 0
        self._busy = 0
        self._answered = 0
        self._idle = asyncio.Event()
        self._failure: str | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, caller = await loop.create_connection(lambda: _Caller(self), "127.0.0.1", self._target.port)
            self._callers.append(caller)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for caller in self._callers:
            caller.close()

    async def run(self, *, seconds: float = 3600.0, requests: int = 1 << 60) -> Answered:
        """Ask for that long or that often and return when the last answer is there. Raises BadAnswer."""
        started = time.monotonic()
        self._give_up_asking_at, self._left = started + seconds, requests
        self._answered, self._busy = 0, 0
        self._idle.clear()
        for caller in self._callers:
            self._next(caller)
        async with asyncio.timeout(seconds + DRAIN_SECONDS):
            await self._idle.wait()
        if self._failure is not None:
            raise BadAnswer(self._failure)
        return Answered(self._answered, time.monotonic() - started)

    def answer(self, caller: _Caller, status: int, body: bytes) -> None:
        """Take an answer that is whole."""
        self._busy -= 1
        if (problem := self._problem(status, body)) is not None:
            self.fail(problem)
            return
        self._answered += 1
        self._next(caller)

    def fail(self, problem: str) -> None:
        """Note what went wrong; nothing more is asked."""
        self._failure = self._failure or problem
        self._idle.set()

    def _next(self, caller: _Caller) -> None:
        if self._left > 0 and self._failure is None and time.monotonic() < self._give_up_asking_at:
            self._left -= 1
            self._busy += 1
            caller.ask(next(self._requests))
        elif not self._busy:
            self._idle.set()

    def _problem(self, status: int, body: bytes) -> str | None:
        if status != 200:
            return f"status {status}: {body[:300]!r}"
        if self._length is None:
            self._length = len(body)
        if len(body) != self._length:
            return f"an answer of {len(body)} bytes after others of {self._length}: {body[:300]!r}"
        wanted = self._workload.events
        if wanted:
            # Gateways that rewrite streams may fold the finish and the usage into one event.
            if body.count(b"data: ") < wanted - 1 or not body.endswith(b"data: [DONE]\n\n"):
                return f"a stream without all of its {wanted} events: {body[-300:]!r}"
        elif _END_OF_TEXT not in body:
            return f"an answer without its end: {body[:300]!r}"
        return None


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._body: list[bytes] = []

    def ask(self, request: bytes) -> None:
        """Send a request."""
        if self._transport is None:
            self._load.fail("the connection was closed although it should be kept alive")
            return
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._load.fail(f"what came is not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._load.fail(f"the connection was lost: {exc!r}")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        self._load.answer(self, self._parser.get_status_code(), body)
