"""The answer to a request whose route has opted in to having its contents in traces."""

from __future__ import annotations

from services.domain.likeness import AnswerText
from services.gateway.answer_text import AnswerReader

LONGEST_BYTES = 256 * 1024
"""Of an answer; a longer one is cut off for the trace."""


class Recording:
    """Keeps the beginning of an answer as it passes by."""

    __slots__ = ("_pieces", "_size", "_streamed")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._streamed = False

    def take_whole(self, body: bytes) -> None:
        """Keep a whole answer."""
        self._take(body)

    def take_events(self, events: bytes) -> None:
        """Keep a part of a stream, which ends where an event ends."""
        self._streamed = True
        self._take(events)

    def read(self) -> AnswerText | None:
        """Return what the answer says; None where it is none."""
        reader, kept = AnswerReader(), b"".join(self._pieces)
        if self._streamed:
            reader.read_events(kept)
        else:
            reader.read_whole(kept)
        return reader.text

    def _take(self, piece: bytes) -> None:
        if self._size + len(piece) <= LONGEST_BYTES:
            self._pieces.append(piece)
            self._size += len(piece)
        else:
            self._size = LONGEST_BYTES
