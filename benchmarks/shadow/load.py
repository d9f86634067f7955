"""Requests at a fixed rate, whether or not the ones before are answered: latency from when each was due."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

LATE_SECONDS = 10.0


@dataclass(slots=True)
class Seen:
    """What callers saw: seconds from due to whole, and how many answers were not 200."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


class _Caller(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._due = 0.0
        self.seen = Seen()

    def ask(self, request: bytes, due: float, seen: Seen) -> None:
        """Send a request."""
        self._due, self.seen = due, seen
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.seen.seconds.append(time.perf_counter() - self._due)
        self.seen.failed += self._parser.get_status_code() != 200
        self._pool.free(self)


class Pool:
    """Connections to one gateway."""

    def __init__(self) -> None:
        self._idle: deque[_Caller] = deque()
        self._waiting: deque[tuple[bytes, float, Seen]] = deque()
        self._callers: list[_Caller] = []

    async def open(self, port: int, connections: int) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, caller = await loop.create_connection(lambda: _Caller(self), "127.0.0.1", port)
            self._callers.append(caller)
            self._idle.append(caller)

    def close(self) -> None:
        """Close every connection."""
        for caller in self._callers:
            caller.close()

    def free(self, caller: _Caller) -> None:
        """A connection has its answer."""
        if self._waiting:
            caller.ask(*self._waiting.popleft())
        else:
            self._idle.append(caller)

    async def run(self, request: bytes, rate: float, seconds: float) -> Seen:
        """Send at that rate for that long; return once all is answered."""
        seen, sent, started = Seen(), 0, time.perf_counter()
        while (now := time.perf_counter()) < started + seconds:
            while started + sent / rate <= now:
                self._send(request, started + sent / rate, seen)
                sent += 1
            await asyncio.sleep(max(0.0, started + sent / rate - time.perf_counter()))
        async with asyncio.timeout(LATE_SECONDS):
            while len(seen.seconds) < sent:
                await asyncio.sleep(0.01)
        return seen

    def _send(self, request: bytes, due: float, seen: Seen) -> None:
        if self._idle:
            self._idle.popleft().ask(request, due, seen)
        else:
            self._waiting.append((request, due, seen))
