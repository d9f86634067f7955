"""A caller's bytes to requests, within bounds."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from services.gateway.inbound.limits import CallerLimits
from services.gateway.inbound.refusals import TOO_MUCH, TooMuch, meaning
from services.gateway.inbound.turn import Answer, Turn

MANY_PIECES = 64
"""A body in more pieces than this is put together on the way, since each piece takes memory for itself."""


class Clock(Protocol):
    """Tells the time, to within a second."""

    now: float


class RequestReader(asyncio.Protocol):
    """Reads one request after the other; a subclass serves them.

    A request is first ``begun``, then either ``whole`` or ``refused``.
    """

    __slots__ = (
        "_body",
        "_clock",
        "_counted",
        "_fields",
        "_parser",
        "_receiving",
        "_size",
        "_target",
        "_unframed",
        "heard_at",
        "limits",
        "on_body",
        "on_header",
        "on_url",
        "upgraded",
    )

    def __init__(self, limits: CallerLimits, clock: Clock) -> None:
        self.limits = limits
        self.heard_at = clock.now
        self.upgraded = False
        """Whether an upgrade was asked for: what comes after it cannot be told apart."""
        self._clock = clock
        self._receiving: Turn | None = None
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

    # For whoever serves.

    @abstractmethod
    def begun(
        self, method: bytes, target: bytes, headers: dict[bytes, bytes], *, keep_alive: bool, chunked: bool
    ) -> Turn:
        """A request's head is there. Returns what its body is put into."""

    @abstractmethod
    def whole(self, turn: Turn) -> None:
        """All of the request is there."""

    @abstractmethod
    def refused(self, turn: Turn) -> None:
        """The request turned out to be none, and nothing after it will be read."""

    def read(self, data: bytes) -> None:
        """Take some of a request, or several."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # Nobody has to follow an upgrade.
            self._parser, self.upgraded = None, True
        except HttpParserError as error:
            if self._parser is not None:
                self._refuse(meaning(error))
        else:
            if self._receiving is not None or self._target or self._fields:
                self._take_stock(len(data))

    # For the parser.

    def on_headers_complete(self) -> None:
        """A request's head is there."""
        if self._parser is None:
            # The connection was closed by what came before, in the same read.
            return
        if len(self._fields) > self.limits.head_fields:
            raise TooMuch
        self.heard_at = self._clock.now
        parser = self._parser
        headers = {name.lower(): value for name, value in self._fields.items()}
        keep_alive, chunked = parser.should_keep_alive(), True
        if not keep_alive or b"connection" in headers:
            # The parser spells the version out anew each time, so it is asked only where it can matter.
            chunked = parser.get_http_version() == "1.1"
            keep_alive = keep_alive and chunked
        method, target = parser.get_method(), b"".join(self._target)
        self._target.clear()
        self._fields.clear()
        self._unframed = 0
        self._receiving = self.begun(method, target, headers, keep_alive=keep_alive, chunked=chunked)

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
        self.whole(turn)

    def _take_stock(self, arrived: int) -> None:
        """Some of a request has come and its end has not: is it within bounds so far?"""
        limits, body, turn = self.limits, self._body, self._receiving
        pieces = body[self._counted :]
        if pieces:
            self._size += sum(map(len, pieces))
            self._unframed = 0
            self.heard_at = self._clock.now
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

    def _refuse(self, refusal: Answer) -> None:
        """What came cannot be understood, and so nothing after it either. What came before it is served."""
        self._parser = None
        turn, self._receiving = self._receiving, None
        if turn is None:
            turn = self.begun(b"", b"", {}, keep_alive=False, chunked=True)
        turn.keep_alive = False
        turn.arrived = True
        turn.refusal = refusal
        self.refused(turn)
