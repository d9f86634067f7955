"""One caller's connection: bytes to requests, answers to bytes.

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

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from services.gateway.inbound.heads import CLOSE, CONTINUE, Preambles
from services.gateway.inbound.limits import CallerLimits
from services.gateway.inbound.refusals import FAULT, TOO_MUCH, TooMuch, meaning
from services.gateway.inbound.turn import Answer, Turn
from services.gateway.inbound.work import Work
from services.gateway.wakeup import Wakeup

logger = logging.getLogger(__name__)

Handler = Callable[[Turn], Coroutine[Any, None, None]]

MANY_PIECES = 64
"""A body in more pieces than this is put together on the way, since each piece takes memory for itself."""


class Keeper(Protocol):
    """Whoever accepted the connection, and keeps the time."""

    now: float
    handler: Handler
    limits: CallerLimits
    preambles: Preambles

    def made(self, connection: CallerConnection) -> None:
        """The connection is open."""

    def lost(self, connection: CallerConnection) -> None:
        """The connection is closed, and nothing works for it any more."""


class CallerConnection(asyncio.Protocol):
    """Carries one request after the other."""

    __slots__ = (
        "_body",
        "_counted",
        "_fields",
        "_keeper",
        "_loop",
        "_parser",
        "_paused",
        "_receiving",
        "_serving",
        "_size",
        "_stopping",
        "_target",
        "_transport",
        "_unframed",
        "_waiting",
        "_work",
        "heard",
        "heard_at",
        "limits",
        "on_body",
        "on_header",
        "on_url",
        "preambles",
        "writable",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, keeper: Keeper) -> None:
        self._loop = loop
        self._keeper = keeper
        self.limits = keeper.limits
        self.preambles = keeper.preambles
        self.heard = Wakeup(loop)
        """Wakes who serves a request when more of it has come, or its caller has taken more of the answer."""
        self.heard_at = keeper.now
        self.writable = True
        self._transport: asyncio.Transport | None = None
        self._receiving: Turn | None = None
        self._serving: Turn | None = None
        self._work: Work | None = None
        self._waiting: deque[Turn] = deque()
        self._paused = self._stopping = False
        # Of a request that comes in several reads: bytes of body, in how many pieces, and of framing since.
        self._size = self._counted = self._unframed = 0
        # The parser collects into these by methods of C: a call of Python for each header costs more.
        self._target: list[bytes] = []
        self._fields: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self.on_url = self._target.append
        self.on_header = self._fields.__setitem__
        self.on_body = self._body.append
        self._parser: Any = HttpRequestParser(self)

    # For the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._keeper.made(self)

    def data_received(self, data: bytes) -> None:
        """Some of a request, or several."""
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # Nobody has to follow an upgrade. What comes after it can no longer be told apart.
            self._parser, self._stopping = None, True
        except HttpParserError as error:
            if self._parser is not None:
                self._refuse(meaning(error))
        else:
            if self._receiving is not None or self._target or self._fields:
                self._take_stock(len(data))
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

    # For the parser.

    def on_headers_complete(self) -> None:
        """A request's head is there."""
        if self._parser is None:
            # The connection was closed by what came before, in the same read.
            return
        if len(self._fields) > self.limits.head_fields:
            raise TooMuch
        self.heard_at = self._keeper.now
        parser = self._parser
        headers = {name.lower(): value for name, value in self._fields.items()}
        keep_alive, chunked = parser.should_keep_alive(), True
        if not keep_alive or b"connection" in headers:
            # The parser spells the version out anew each time, so it is asked only where it can matter.
            chunked = parser.get_http_version() == "1.1"
            keep_alive = keep_alive and chunked
        turn = Turn(self, parser.get_method(), b"".join(self._target), headers, keep_alive, chunked)
        self._target.clear()
        self._fields.clear()
        self._unframed = 0
        self._receiving = turn
        self._waiting.append(turn)

    def on_message_complete(self) -> None:
        """A request is whole."""
        turn, body = self._receiving, self._body
        if turn is None:
            return
        self._receiving = None
        turn.body = body[0] if len(body) == 1 else b"".join(body)
        turn.too_large = turn.too_large or len(turn.body) > self.limits.body_bytes
        turn.arrived = True
        body.clear()
        # Trailers, which nobody reads.
        self._fields.clear()
        self._size = self._counted = self._unframed = 0
        if turn.answered and self._is_last(turn):
            self._close()

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
            self._transport.abort()

    # For a turn.

    def write(self, data: bytes) -> None:
        """Write to the caller, if it is still there."""
        if self._transport is not None:
            self._transport.write(data)

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
        return self._stopping or not turn.keep_alive

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

    def _refuse(self, refusal: Answer) -> None:
        """What came cannot be understood, and so nothing after it either. What came before it is served."""
        self._parser = None
        turn, self._receiving = self._receiving, None
        if turn is None:
            turn = Turn(self, b"", b"", {}, keep_alive=False, chunked=True)
            self._waiting.append(turn)
        turn.keep_alive = False
        turn.arrived = True
        turn.refusal = refusal
        if turn.answered:
            self._close()
        elif turn is self._serving and self._work is not None:
            self._work.cancel()

    def _take_stock(self, arrived: int) -> None:
        """Some of a request has come and its end has not: is it within bounds so far?"""
        limits, body, turn = self.limits, self._body, self._receiving
        pieces = body[self._counted :]
        if pieces:
            self._size += sum(map(len, pieces))
            self._unframed = 0
            self.heard_at = self._keeper.now
        else:
            self._unframed += arrived
        if self._unframed > limits.head_bytes or len(self._fields) > limits.head_fields:
            self._refuse(TOO_MUCH)
            return
        if turn is not None and self._size > limits.body_bytes and not turn.too_large:
            turn.too_large = True
        if turn is not None and (turn.too_large or turn.answered):
            body.clear()
        elif len(body) > MANY_PIECES:
            body[:] = [b"".join(body)]
        self._counted = len(body)

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
            self._transport.close()
