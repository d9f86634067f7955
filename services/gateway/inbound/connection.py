"""One caller's connection: whose turn it is, answers to bytes, backpressure both ways.

Requests are served in the order in which they came, one at a time. One is handed over when the bytes that
brought its head have been read to their end, so that mostly its body is there too. While requests wait for
the one before, the socket is not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from services.gateway.corking import Cork
from services.gateway.inbound.heads import CLOSE, CONTINUE, Preambles
from services.gateway.inbound.limits import CallerLimits
from services.gateway.inbound.reading import RequestReader
from services.gateway.inbound.refusals import FAULT
from services.gateway.inbound.turn import Turn
from services.gateway.inbound.work import Work
from services.gateway.wakeup import Wakeup

logger = logging.getLogger(__name__)

Handler = Callable[[Turn], Coroutine[Any, None, None]]


class Keeper(Protocol):
    """Whoever accepted the connection, and keeps the time."""

    now: float
    cork: Cork
    handler: Handler
    limits: CallerLimits
    preambles: Preambles

    def made(self, connection: CallerConnection) -> None:
        """The connection is open."""

    def lost(self, connection: CallerConnection) -> None:
        """The connection is closed, and nothing works for it any more."""


class CallerConnection(RequestReader):
    """Carries one request after the other."""

    __slots__ = (
        "_cork",
        "_keeper",
        "_loop",
        "_paused",
        "_serving",
        "_stopping",
        "_transport",
        "_waiting",
        "_work",
        "heard",
        "preambles",
        "writable",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, keeper: Keeper) -> None:
        super().__init__(keeper.limits, keeper)
        self._loop = loop
        self._keeper = keeper
        self._cork = keeper.cork
        self.preambles = keeper.preambles
        self.heard = Wakeup(loop)
        """Wakes who serves a request when more of it has come, or its caller has taken more of the answer."""
        self.writable = True
        self._transport: asyncio.Transport | None = None
        self._serving: Turn | None = None
        self._work: Work | None = None
        self._waiting: deque[Turn] = deque()
        self._paused = self._stopping = False

    # For the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._keeper.made(self)

    def data_received(self, data: bytes) -> None:
        """Some of a request, or several."""
        if self._parser is None:
            return
        self.read(data)
        if self._work is not None:
            self.heard.wake()
        if self._work is None:
            self._serve_next()
        elif self._waiting:
            self._pause()

    def eof_received(self) -> None:
        """The caller will say no more. Whether it still listens cannot be known: it counts as gone."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name for it
        """The caller is gone; what is done for it ends."""
        self._transport = self._parser = None
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()
        if self._work is None:
            self._keeper.lost(self)

    def pause_writing(self) -> None:
        """The caller does not read as fast as it is written to."""
        self.writable = False
        self.heard_at = self._keeper.now

    def resume_writing(self) -> None:
        """It has caught up."""
        self.writable = True
        self.heard.wake()

    # For the reader.

    def begun(
        self, method: bytes, target: bytes, headers: dict[bytes, bytes], *, keep_alive: bool, chunked: bool
    ) -> Turn:
        """A request's head is there: it is served once those before it are."""
        turn = Turn(self, method, target, headers, keep_alive, chunked)
        self._waiting.append(turn)
        return turn

    def whole(self, turn: Turn) -> None:
        """All of the request is there."""
        if turn.answered and self._is_last(turn):
            self._close()

    def refused(self, turn: Turn) -> None:
        """The request turned out to be none; what came before it is served."""
        if turn.answered:
            self._close()
        elif turn is self._serving and self._work is not None:
            self._work.cancel()

    # For the server.

    @property
    def waits_for_caller(self) -> bool:
        """Whether it is the caller's turn to do something."""
        return self._work is None or self._receiving is not None or not self.writable

    def stop(self) -> None:
        """Close when the request that is being served, if any, has been answered."""
        self._stopping = True
        if self._work is None and not self._waiting:
            self._close()

    def give_up(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._cork.flush()
            self._transport.abort()

    # For a turn.

    def write(self, data: bytes) -> None:
        """Write to the caller, if it is still there."""
        if self._transport is not None:
            self._cork.write(self._transport, data)

    def closing_line(self, turn: Turn) -> bytes:
        """Return the line of a head that says that this answer is the connection's last, if it is."""
        return CLOSE if self._is_last(turn) else b""

    def invite(self, turn: Turn) -> None:
        """Ask for the body of a caller that waits to be asked."""
        if turn.headers.get(b"expect", b"").lower() == b"100-continue" and not self._body:
            self.write(CONTINUE)

    def complete(self, turn: Turn) -> None:
        """The answer to the request is written."""
        turn.answered = True
        self.heard_at = self._keeper.now
        # A caller that is still sending may not read an answer from a connection that is closed on it.
        if turn.arrived and self._is_last(turn):
            self._close()

    def _is_last(self, turn: Turn) -> bool:
        return self._stopping or self.upgraded or not turn.keep_alive

    def _serve_next(self) -> None:
        if not self._waiting or self._transport is None:
            return
        turn = self._waiting.popleft()
        if self._paused and not self._waiting:
            self._resume()
        if turn.refusal is not None:
            turn.answer(*turn.refusal)
            return
        self._serving = turn
        self._work = Work(self._keeper.handler(turn), self._on_end)
        self._work.go_on()

    def _on_end(self, error: BaseException | None) -> None:
        turn = self._serving
        self._serving = self._work = None
        if self._transport is None:
            self._keeper.lost(self)
            return
        if turn is not None and not turn.answered:
            self._make_up_for(turn, error)
        if self._waiting:
            # Not within this call: a read may hold thousands of small requests.
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._work is None:
            self._serve_next()

    def _make_up_for(self, turn: Turn, error: BaseException | None) -> None:
        """A request was not answered: it turned out to be none, there is a bug, or its time is over."""
        if error is not None:
            logger.error("serving %s failed", turn.path, exc_info=error)
            turn.refusal = FAULT
        if turn.refusal is None or turn.begun:
            self.give_up()
        else:
            turn.keep_alive = False
            turn.answer(*turn.refusal)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _close(self) -> None:
        self._parser = None
        self._waiting.clear()
        if self._transport is not None:
            self._cork.flush()
            self._transport.close()
