"""One connection: its socket's life, the requests written to it, and what ends it."""

from __future__ import annotations

import asyncio
from math import inf
from typing import NamedTuple, Protocol, cast

from services.gateway.corking import Cork
from services.gateway.transport.alarm import Alarm
from services.gateway.transport.failures import RaceLost, late, unreachable
from services.gateway.transport.limits import KIB, Limits
from services.gateway.transport.origins import Origin
from services.gateway.transport.response import Response
from services.gateway.upstream import UpstreamFailed

_ONE_WRITE = 256 * KIB
"""Written at once, of a body up to this size together with the head: that saves a system call."""


class Deadlines(NamedTuple):
    """By the loop's clock; ``quiet_seconds`` is the longest silence between two pieces of a body."""

    total: float
    first_byte: float = inf
    quiet_seconds: float = inf


class Owner(Protocol):
    """Whoever keeps connections."""

    def free(self, connection: Connection) -> None:
        """The connection has carried an answer and can carry another."""

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""


class Connection(asyncio.Protocol):
    """Carries one request after the other."""

    __slots__ = (
        "_alarm",
        "_blocked",
        "_closed",
        "_cork",
        "_deadlines",
        "_limits",
        "_loop",
        "_owner",
        "_paused",
        "_response",
        "_transport",
        "_unsent",
        "_unsent_in_turn",
        "_uses",
        "asked_at",
        "created_at",
        "idle_since",
        "origin",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, owner: Owner, cork: Cork, origin: Origin, limits: Limits
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._cork = cork
        self._limits = limits
        self._alarm = Alarm(loop, self._on_deadline)
        self._deadlines = Deadlines(inf)
        self._response: Response | None = None
        self._transport: asyncio.Transport | None = None
        self._unsent: memoryview | None = None
        self._blocked = self._paused = self._closed = False
        self._uses = 0
        self._unsent_in_turn = -1
        """The turn of the event loop at whose end the request is sent."""
        self.origin = origin
        self.created_at = self.idle_since = self.asked_at = loop.time()

    def ask(self, head: bytes, body: bytes, deadlines: Deadlines) -> Response:
        """Send a request and return its answer, of which nothing has arrived yet."""
        assert self._transport is not None, "it is connected"  # noqa: S101
        self._uses += 1
        self.asked_at = self._loop.time()
        self._deadlines = deadlines
        self._alarm.set(min(deadlines.total, deadlines.first_byte))
        response = self._response = Response(self._loop, self, self._limits)
        if len(body) <= _ONE_WRITE:
            waits = self._cork.write(self._transport, head + body)
            self._unsent_in_turn = self._cork.turn if waits else -1
        else:
            self._unsent_in_turn = -1
            self._cork.flush()
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._send_on()
        return response

    @property
    def connected(self) -> bool:
        """Whether there is a socket."""
        return self._transport is not None

    @property
    def open(self) -> bool:
        """Whether the socket is there and nobody has begun to close it."""
        return self._transport is not None and not self._transport.is_closing()

    def usable(self, now: float) -> bool:
        """Say whether it is young, fresh and open enough to be used again."""
        return now - self.idle_since < self._limits.idle_seconds and not self.too_old(now) and self.open

    def too_old(self, now: float) -> bool:
        """Say whether it has been open for so long that it is not to be used again."""
        return now - self.created_at >= self._limits.age_seconds

    def end(self, failure: UpstreamFailed | None = None) -> None:
        """Close at once; an answer that is under way fails."""
        response, self._response, self._unsent = self._response, None, None
        self._closed = True
        self._alarm.stop()
        if response is not None:
            response.fail(failure or unreachable("the connection was closed"))
        if self._transport is not None:
            self._transport.abort()

    # For the answer.

    def resume(self) -> None:
        """Read on: what had piled up has been taken."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
            self._expect_more()

    def abandon(self) -> None:
        """The rest of the answer is not wanted, and there is no other way of saying so."""
        self.end()

    # For the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open, and TLS agreed on."""
        self._transport = cast("asyncio.Transport", transport)
        if self._closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer; without a request they are nothing that could be trusted."""
        response = self._response
        if response is None:
            self.end()
            return
        response.feed(data)
        if response.over:
            self._release(response)
        else:
            if response.begun:
                self._expect_more()
            if response.unread > self._limits.unread_bytes:
                self._pause()

    def eof_received(self) -> None:
        """The server has said all it will say. Nothing that is still to be written would be answered."""
        self._on_lost(None)
        self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._on_lost(exc)
        self._alarm.stop()
        self._transport = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """The server does not read as fast as it is written to."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._blocked = False
        self._send_on()

    def _send_on(self) -> None:
        while self._unsent is not None and not self._blocked and self._transport is not None:
            piece, rest = self._unsent[:_ONE_WRITE], self._unsent[_ONE_WRITE:]
            self._unsent = rest or None
            self._transport.write(piece)

    def _release(self, response: Response) -> None:
        self._response = None
        self._alarm.clear()
        if response.reusable and self._is_at_rest():
            self._owner.free(self)
        else:
            self.end()

    def _is_at_rest(self) -> bool:
        # Whatever came before its request was sent is no answer to it.
        return (
            self._unsent is None
            and self._unsent_in_turn != self._cork.turn
            and not self._paused
            and self._transport is not None
            and not self._transport.is_closing()
            and self._transport.get_write_buffer_size() == 0
        )

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
            # A silence that the reader causes is not the server's.
            self._alarm.set(self._deadlines.total)

    def _expect_more(self) -> None:
        total, quiet_seconds = self._deadlines.total, self._deadlines.quiet_seconds
        self._alarm.set(total if quiet_seconds == inf else min(total, self._loop.time() + quiet_seconds))

    def _on_lost(self, error: Exception | None) -> None:
        response, self._response, self._unsent = self._response, None, None
        if response is None:
            return
        if self._uses > 1 and response.untouched and self._is_early():
            response.fail(RaceLost())
        else:
            response.end(error)

    def _is_early(self) -> bool:
        return self._loop.time() - self.asked_at < self._limits.race_seconds

    def _on_deadline(self) -> None:
        response, deadlines = self._response, self._deadlines
        if response is None:
            return
        if self._loop.time() >= deadlines.total - 0.001:
            self.end(late("no whole answer in time"))
        elif response.begun:
            self.end(late(f"it fell silent for {deadlines.quiet_seconds:g} s in the middle of its answer"))
        else:
            self.end(late("no first byte in time"))
