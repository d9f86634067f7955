"""The bytes of an answer's head."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

Fields = Iterable[tuple[bytes, bytes]]

_REASONS = {status.value: status.phrase for status in HTTPStatus}
CLOSE = b"connection: close\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON = b"content-type: application/json\r\n"


def lines(fields: Fields) -> bytes:
    """Return fields as they stand in a head. None has a line end: they come from parsers or from here."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


class Preambles:
    """The first lines of a head, by status: the status line, and the date of this second."""

    def __init__(self) -> None:
        self._by_status: dict[int, bytes] = {}
        self._date = b""

    def turn_to(self, now: float) -> None:
        """``now`` is wall time in seconds."""
        self._by_status.clear()
        self._date = b"date: %b\r\n" % formatdate(now, usegmt=True).encode()

    def of(self, status: int) -> bytes:
        """Return the lines for a status."""
        preamble = self._by_status.get(status)
        if preamble is None:
            reason = _REASONS.get(status, "").encode()
            preamble = self._by_status[status] = b"HTTP/1.1 %d %b\r\n%b" % (status, reason, self._date)
        return preamble
