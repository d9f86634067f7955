"""A connection without a socket: what a caller sends, and what it would read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

from httptools import HttpResponseParser

from services.gateway.corking import Cork
from services.gateway.inbound.connection import CallerConnection
from services.gateway.inbound.heads import Preambles
from services.gateway.inbound.limits import CallerLimits
from services.gateway.inbound.turn import Turn

LIMITS = CallerLimits(body_bytes=1000, head_bytes=2000, head_fields=20)


class Wire:
    """Stands in for a transport."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0
        self.closed = self.aborted = self.paused = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "nothing may be written to a closed connection"
        self.written += data
        self.writes += 1

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


async def echo(turn: Turn) -> None:
    """Answer with what was asked."""
    body = turn.body if turn.whole else await turn.receive()
    seen = b"%b %b %b" % (turn.method, turn.path.encode(), body)
    turn.answer(200, b"", seen)


@dataclass
class Caller:
    """One caller, its connection, and whoever keeps that."""

    handler: Callable[[Turn], Coroutine[Any, None, None]] = echo
    limits: CallerLimits = LIMITS
    now: float = 0.0
    preambles: Preambles = field(default_factory=Preambles)
    lost_connections: int = 0

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.cork = Cork(self.loop)
        self.connection = CallerConnection(self.loop, self)
        self.wire = Wire()
        self.connection.connection_made(cast("asyncio.Transport", self.wire))

    def made(self, connection: CallerConnection) -> None:
        """As the server is told."""

    def lost(self, connection: CallerConnection) -> None:  # noqa: ARG002
        """As the server is told."""
        self.lost_connections = 1

    def sends(self, *pieces: bytes) -> Caller:
        """Let bytes arrive, as long as somebody reads; then let the loop turn until nothing is left to do."""
        for piece in pieces:
            if not self.wire.closed:
                self.connection.data_received(piece)
        for _ in range(50):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        return self

    def hangs_up(self) -> None:
        """The connection is lost."""
        self.wire.closed = True
        self.connection.connection_lost(None)
        self.loop.close()

    def reads(self) -> list[tuple[int, bytes]]:
        """Status and body of each answer."""
        answers = _Answers()
        parser = HttpResponseParser(answers)
        answers.parser = parser
        parser.feed_data(self.wire.written)
        assert not answers.open, "the last answer is not whole"
        return answers.found


class _Answers:
    def __init__(self) -> None:
        self.found: list[tuple[int, bytes]] = []
        self.open = False
        self.parser: Any = None
        self._body = b""

    def on_message_begin(self) -> None:
        self.open, self._body = True, b""

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        self.open = False
        if status >= 200:
            self.found.append((status, self._body))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at places."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]
