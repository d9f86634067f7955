"""Answers that come compressed although that was declined."""

from __future__ import annotations

import zlib

from services.gateway.transport.failures import broken, not_http
from services.gateway.transport.limits import KIB
from services.gateway.transport.response import Fields, Response, Take

_NAME = b"content-encoding"
_AT_ONCE = 256 * KIB
_EITHER_HEADER = zlib.MAX_WBITS | 32


def coding_of(headers: Fields) -> bytes:
    """Return the content coding in lower case, empty for none."""
    for name, value in headers:
        if len(name) == len(_NAME) and name.lower() == _NAME:
            coding = value.strip().lower()
            return b"" if coding == b"identity" else coding
    return b""


class Inflated:
    """An answer that is decompressed as it is read, so much at a time that its reader can stop in time."""

    __slots__ = ("_inflater", "_response", "headers", "status")

    def __init__(self, response: Response, coding: bytes) -> None:
        if coding not in {b"gzip", b"x-gzip", b"deflate"}:
            raise not_http(
                f"its answer is compressed by {coding.decode('latin-1')!r}, which was not asked for"
            )
        self._response = response
        self._inflater = zlib.decompressobj(_EITHER_HEADER)
        self.status = response.status
        self.headers = response.headers

    @property
    def ended(self) -> bool:
        """The end is only seen by reading on."""
        return False

    async def next_chunk(self) -> bytes:
        """Return a piece of the body; empty at the end. Raises UpstreamFailed."""
        while True:
            compressed = self._inflater.unconsumed_tail or await self._response.next_chunk()
            if not compressed:
                if not self._inflater.eof:
                    raise broken("its compressed body broke off")
                return b""
            try:
                piece = self._inflater.decompress(compressed, _AT_ONCE)
            except zlib.error as error:
                raise broken("its compressed body cannot be read") from error
            if piece:
                return piece

    async def pass_on(self, take: Take) -> bool:
        """Call ``take`` with each piece; return when it says no, or, with False, at the end."""
        while piece := await self.next_chunk():
            if not take(piece):
                return True
        return False

    def close(self) -> None:
        """Give the answer up."""
        self._response.close()
