"""A stream of server-sent events on its way through: read as it passes, in whole events.

The pieces in which it arrives may cut events anywhere. What goes on ends where an event ends: its caller
cannot use half an event earlier than the whole one, and a stream that breaks can be closed by an event of
ours. The pieces are forwarded as they are, but for the one event that we asked for and the caller did not.
"""

from __future__ import annotations

import re

from services.gateway.answers import Reading
from services.gateway.surfaces import Surface

LONGEST_EVENT_BYTES = 4 * 1024 * 1024
"""A longer one is forwarded in pieces and not read."""

_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_event = re.compile(rb".+?(?:\n\n|\n\r\n|\r\r|\Z)", re.DOTALL).findall
_data = re.compile(rb"^data:[ ]?([^\r\n]*)", re.MULTILINE).findall
_worth_reading = re.compile(
    rb'"(?:usage"\s*:\s*\{|content_filter"|error"\s*:\s*[{"]|finish_reason"\s*:\s*"'
    rb'|type"\s*:\s*"(?:error|response\.(?:completed|incomplete|failed))")'
).search
_DONE = b"data: [DONE]"


class StreamReading(Reading):
    """Reads a stream. ``hides_usage`` holds back the event that carries usage and nothing else."""

    __slots__ = ("_first_token", "_last", "_rest", "hides_usage", "token_seen")

    def __init__(self, surface: Surface, *, hides_usage: bool = False) -> None:
        super().__init__()
        self.hides_usage = hides_usage
        self.token_seen = False
        """Whether an event carried some of the answer."""
        self._first_token = surface.first_token.search
        self._rest = b""
        self._last = b""

    def feed(self, piece: bytes) -> bytes:
        """Take what has arrived; return what goes on."""
        if self._rest:
            piece = self._rest + piece
            self._rest = b""
        if not piece.endswith(_ENDS):
            piece = self._cut(piece)
        if not piece:
            return piece
        self._last = piece
        if not self.token_seen:
            self.token_seen = self._first_token(piece) is not None
        if _worth_reading(piece) is None:
            return piece
        return self._read(piece)

    def end(self) -> bytes:
        """The stream is over, as far as HTTP can tell; return what still goes on."""
        rest, self._rest = self._rest, b""
        last = rest or self._last
        if rest:
            rest = self._read(rest)
        if not self.finished:
            self.finished = _DONE in last
        return rest if self.finished or self.error else b""

    @property
    def between_events(self) -> bool:
        """Whether what went on so far ends where an event ends."""
        return not self._last or self._last.endswith(_ENDS)

    def _cut(self, piece: bytes) -> bytes:
        """Keep back the event that is not whole yet."""
        end = max(piece.rfind(mark) + len(mark) if mark in piece else 0 for mark in _ENDS)
        if len(piece) - end > LONGEST_EVENT_BYTES:
            return piece
        self._rest = piece[end:]
        return piece[:end]

    def _read(self, piece: bytes) -> bytes:
        kept = []
        for event in _event(piece):
            usage_only = False
            if _worth_reading(event) is not None:
                usage_only = self.read_event(b"\n".join(_data(event)))
            if not (usage_only and self.hides_usage):
                kept.append(event)
        return b"".join(kept)
