"""One answer: parsed as its bytes arrive, read by whoever asked.

It outlives its use of the connection: once whole, what has not been read waits here, and the connection may
serve others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from httptools import HttpParserError, HttpResponseParser

from services.gateway.transport.failures import broken, not_http
from services.gateway.transport.limits import Limits
from services.gateway.upstream import UpstreamFailed
from services.gateway.wakeup import Wakeup

Fields = list[tuple[bytes, bytes]]
Take = Callable[[bytes], bool]


class Source(Protocol):
    """Where an answer comes from."""

    def resume(self) -> None:
        """Go on reading: what had piled up has been taken."""

    def abandon(self) -> None:
        """The rest of the answer is not wanted."""


class Response:
    """An answer, as ``UpstreamAnswer``. Its connection calls ``feed``, ``end`` and ``fail``."""

    __slots__ = (
        "_changed",
        "_chunks",
        "_failure",
        "_fields",
        "_limits",
        "_parser",
        "_source",
        "_take",
        "_unframed",
        "begun",
        "complete",
        "headers",
        "reusable",
        "status",
        "unread",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source, limits: Limits) -> None:
        self._source: Source | None = source
        self._take: Take | None = None
        """Who gets the pieces within the read that brings them."""
        self._limits = limits
        self._parser: Any = _new_parser(self)
        self._changed = Wakeup(loop)
        self._failure: UpstreamFailed | None = None
        self._fields: Fields = []
        self._chunks: list[bytes] = []
        self._unframed = 0
        """Bytes since the last one of the body: head, or framing."""
        self.status = 0
        self.headers: Fields = []
        self.unread = 0
        self.begun = False
        """Whether the first byte of the body has come."""
        self.complete = False
        self.reusable = False
        """Whether the connection is exactly at the end of this answer and may carry another one."""

    # For the reader.

    async def arrive(self) -> None:
        """Return when the head is there. Raises UpstreamFailed."""
        try:
            while not self.status:
                if self._failure is not None:
                    raise self._failure
                await self._changed
        except asyncio.CancelledError:
            self.close()
            raise

    @property
    def ended(self) -> bool:
        """Whether all of the body has been handed out."""
        return self.complete and not self._chunks

    async def next_chunk(self) -> bytes:
        """Return everything that has arrived, waiting for some; empty at the end. Raises UpstreamFailed."""
        if not self._chunks:
            await self._until_more()
        return self._taken() if self._chunks else b""

    async def pass_on(self, take: Take) -> bool:
        """Call ``take`` with each piece as it comes; return when it says no, or, with False, at the end.

        Raises UpstreamFailed. What arrives is handed on by the read that brings it, without a step of
        whoever waits here: a stream is many small pieces, and the steps cost more than the rest.
        """
        try:
            while self._chunks or not self.complete:
                if self._chunks:
                    if not take(self._taken()):
                        return True
                elif self._failure is not None:
                    raise self._failure
                else:
                    self._hand_to(take)
                    await self._changed
                    if self._take is None:
                        return True
        except asyncio.CancelledError:
            self.close()
            raise
        else:
            return False
        finally:
            self._take = None

    def close(self) -> None:
        """Give the answer up. Its connection ends with it, unless the answer is whole."""
        source = self._source
        if source is not None:
            self.fail(broken("its answer was given up"))
            source.abandon()
        self._chunks.clear()

    def _hand_to(self, take: Take) -> None:
        self._take = take

    def _taken(self) -> bytes:
        chunks = self._chunks
        chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        was_full = self.unread > self._limits.unread_bytes
        self.unread = 0
        if was_full and self._source is not None:
            self._source.resume()
        return chunk

    async def _until_more(self) -> None:
        """Return when there are pieces, or the end. Raises UpstreamFailed."""
        try:
            while not (self._chunks or self.complete):
                if self._failure is not None:
                    raise self._failure
                await self._changed
        except asyncio.CancelledError:
            self.close()
            raise

    # For the connection.

    @property
    def untouched(self) -> bool:
        """Whether not a single byte has come."""
        return self.status == 0 and self._unframed == 0

    @property
    def over(self) -> bool:
        """Whether nothing more is expected."""
        return self._source is None

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._unframed += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self.reusable = False
            if not self.complete:
                self.fail(_meaning(error, self.status))
        if self.complete:
            self._finish()
        elif self._unframed > self._limits.head_bytes:
            self.fail(broken("the framing of its body is excessive") if self.status else self._too_much())
        elif self._take is None:
            self._changed.wake()
        elif self._chunks and not self._take(self._taken()):
            self._take = None
            self._changed.wake()

    def end(self, error: Exception | None) -> None:
        """The connection is lost. That is the end of an answer that says no other."""
        if self.status and error is None and _ends_with_connection(self.headers):
            self.complete = True
            self._finish()
        else:
            self.fail(broken())

    def fail(self, failure: UpstreamFailed) -> None:
        """There will be no more. What has arrived can still be read."""
        if self._source is not None:
            self._failure = failure
            self._finish()

    def _finish(self) -> None:
        # The parser holds this object's methods: without the cycle, counting references frees both.
        self._source = self._parser = None
        self._changed.wake()

    def _too_much(self) -> UpstreamFailed:
        limits = self._limits
        return not_http(f"its head is over {limits.head_bytes:,} bytes or {limits.head_fields} headers")

    # For the parser.

    def on_message_begin(self) -> None:
        """A second answer to one request; raising stops the parser."""
        if self.complete:
            raise ValueError("there is more than the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also called for trailers, which nobody reads."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Of the answer, or of something informational before it."""
        fields, self._fields = self._fields, []
        status: int = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return
        if status < 200:
            raise not_http("it switched to a protocol that was not asked for")
        if self._is_too_much(fields):
            raise self._too_much()
        self.status, self.headers = status, fields
        self.reusable = self._parser.should_keep_alive()

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(chunk)
        self.unread += len(chunk)
        self._unframed = 0
        self.begun = True

    def on_message_complete(self) -> None:
        """The end, unless it was something informational."""
        if self.status:
            self.complete = True

    def _is_too_much(self, fields: Fields) -> bool:
        if len(fields) > self._limits.head_fields:
            return True
        # Adding up is needed only where so much has arrived, be it body.
        return self._unframed > self._limits.head_bytes and (
            sum(len(name) + len(value) for name, value in fields) > self._limits.head_bytes
        )


def _new_parser(response: Response) -> Any:
    parser = HttpResponseParser(response)
    # As forgiving as aiohttp where it does not change where a message ends.
    parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
    return parser


def _meaning(error: Exception, status: int) -> UpstreamFailed:
    if isinstance(error.__context__, UpstreamFailed):
        return error.__context__
    return broken("its body is not framed as HTTP is") if status else not_http()


def _ends_with_connection(headers: Fields) -> bool:
    for given, value in headers:
        name = given.lower()
        if name == b"content-length" or (
            name == b"transfer-encoding" and value.strip().lower().endswith(b"chunked")
        ):
            return False
    return True
