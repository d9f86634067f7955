"""One request and its answer, as whoever serves it sees them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from httptools import HttpParserInvalidURLError, parse_url

from services.domain.errors import PayloadTooLarge
from services.gateway.inbound.heads import CHUNKED

if TYPE_CHECKING:
    from services.gateway.inbound.connection import CallerConnection


Answer = tuple[int, bytes, bytes]
"""Status, lines of the head, body."""


class Turn:
    """A request whose head is there. It is answered once: whole by ``answer``, or by ``begin`` … ``finish``.

    ``headers`` has names in lower case; of a name that was sent twice, the last value.
    """

    __slots__ = (
        "_connection",
        "_head",
        "answered",
        "arrived",
        "begun",
        "body",
        "chunked",
        "headers",
        "keep_alive",
        "method",
        "refusal",
        "target",
        "too_large",
    )

    def __init__(
        self,
        connection: CallerConnection,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        keep_alive: bool,
        chunked: bool,
    ) -> None:
        self._connection = connection
        self._head = b""
        self.method = method
        self.target = target
        self.headers = headers
        self.keep_alive = keep_alive
        self.chunked = chunked
        """Whether its caller understands chunks (HTTP/1.0 does not)."""
        self.body = b""
        self.arrived = False
        """Whether the body is there."""
        self.too_large = False
        self.begun = False
        """Whether some of the answer has been written."""
        self.answered = False
        """Whether all of it has."""
        self.refusal: Answer | None = None
        """What it is answered with because it turned out to be no request."""

    @property
    def path(self) -> str:
        """The target's path, decoded; empty where the target has none."""
        return _path_of(self.target)

    @property
    def whole(self) -> bool:
        """Whether the body is there and within bounds, so that there is nothing to wait for."""
        return self.arrived and not self.too_large

    async def receive(self) -> bytes:
        """Return the whole body. Raises PayloadTooLarge as soon as it is known to be over the limit."""
        connection = self._connection
        limit = connection.limits.body_bytes
        announced = self.headers.get(b"content-length")
        if announced is not None and int(announced) > limit:
            raise _too_large(limit)
        if not self.arrived:
            connection.invite(self)
        while not (self.arrived or self.too_large):
            await connection.heard
        if self.too_large:
            raise _too_large(limit)
        return self.body

    def answer(self, status: int, fields: bytes, body: bytes) -> None:
        """Answer as a whole. ``fields`` are lines of the head; those about framing are added."""
        connection = self._connection
        self.begun = True
        # One write: each is a system call, the dearest part of an answer.
        connection.write(
            b"%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                connection.preambles.of(status),
                fields,
                len(body),
                connection.closing_line(self),
                b"" if self.method == b"HEAD" else body,
            )
        )
        connection.complete(self)

    def begin(self, status: int, fields: bytes) -> None:
        """Begin an answer whose length is not known yet. The head is written with the first piece."""
        connection = self._connection
        framing = CHUNKED if self.chunked else b""
        closing = connection.closing_line(self)
        self._head = b"%b%b%b%b\r\n" % (connection.preambles.of(status), fields, framing, closing)

    def send(self, piece: bytes) -> bool:
        """Send a piece of the answer that was begun; say whether the caller is ready for more.

        Where it is not, ``drained`` is to be awaited before the next piece.
        """
        self._write(b"%b%x\r\n%b\r\n" % (self._head, len(piece), piece), piece)
        return self._connection.writable

    async def drained(self) -> None:
        """Return when the caller has taken enough of what was sent."""
        while not self._connection.writable:
            await self._connection.heard

    def finish(self, piece: bytes = b"") -> None:
        """Send the last piece, if there is one, and end the answer."""
        last = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        self._write(b"%b%b0\r\n\r\n" % (self._head, last), piece)
        self._connection.complete(self)

    def _write(self, in_chunks: bytes, plain: bytes) -> None:
        self._connection.write(in_chunks if self.chunked else self._head + plain)
        self._head = b""
        self.begun = True


@lru_cache(maxsize=1024)
def _path_of(target: bytes) -> str:
    try:
        path = parse_url(target).path
    except HttpParserInvalidURLError:
        path = None
    # What the parser let through is one byte a character.
    return unquote((path or b"").decode("latin-1"))


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the request's body is over this gateway's limit of {limit:,} bytes; "
        "send less, or raise HEADGATE_GATEWAY_MAX_BODY_BYTES"
    )
