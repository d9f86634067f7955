"""Which requests a shadow gets a copy of, and what their callers were answered."""

from __future__ import annotations

import asyncio

from services.domain.assignment import Salted, shadow_salt
from services.domain.configuration import ShadowConfig
from services.domain.likeness import AnswerText
from services.gateway.answer_text import AnswerReader
from services.gateway.body import RequestBody

LONGEST_ANSWER_BYTES = 1024 * 1024
"""A longer answer, of production or of the shadow, is not compared."""
READ_AT_ONCE_BYTES = 16 * 1024
"""How much of a stream is read before others have their turn."""


class Room:
    """How many bytes of requests and answers may be held for shadows."""

    __slots__ = ("_limit", "held")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold so many more; False where they are too many."""
        if self.held + size > self._limit:
            return False
        self.held += size
        return True

    def free(self, size: int) -> None:
        """Hold so many less."""
        self.held -= size


class Copy:
    """A sampled request's answer, kept as it passes by. What it holds is free again when it is gone."""

    __slots__ = ("_held", "_pieces", "_room", "_size", "_streamed", "refused")

    def __init__(self, room: Room, request_size: int) -> None:
        self._room = room
        self._pieces: list[bytes] = []
        self._held = self._size = 0
        self._streamed = False
        self.refused: str | None = None
        """Why it is not kept."""
        self._hold(request_size)

    def __del__(self) -> None:
        self._room.free(self._held)

    def take_whole(self, body: bytes) -> None:
        """Keep a whole answer."""
        self._take(body)

    def take_events(self, events: bytes) -> None:
        """Keep a part of a stream, which ends where an event ends."""
        self._streamed = True
        self._take(events)

    async def read(self) -> AnswerText | None:
        """Return what the answer says; None where it is none."""
        reader, read = AnswerReader(), 0
        if not self._streamed:
            reader.read_whole(b"".join(self._pieces))
            return reader.text
        for piece in self._pieces:
            reader.read_events(piece)
            read += len(piece)
            if read > READ_AT_ONCE_BYTES:
                read = 0
                await asyncio.sleep(0)
        return reader.text

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > LONGEST_ANSWER_BYTES:
            self._refuse("too_large")
        if self.refused is None and self._hold(len(piece)):
            self._pieces.append(piece)

    def _hold(self, size: int) -> bool:
        if not self._room.take(size):
            self._refuse("no_memory")
            return False
        self._held += size
        return True

    def _refuse(self, reason: str) -> None:
        self.refused = self.refused or reason
        self._pieces.clear()
        self._room.free(self._held)
        self._held = 0


class ServedShadow:
    """A route's shadow, with what every request would otherwise compute again."""

    __slots__ = ("_salted", "config")

    def __init__(self, config: ShadowConfig) -> None:
        self.config = config
        self._salted = Salted(shadow_salt(config.salt))

    def samples(self, request_id: str, body: RequestBody, now: float) -> bool:
        """Say whether a request is mirrored. ``now`` in seconds since the epoch.

        What is answered with numbers instead of words is not.
        """
        config = self.config
        if not config.sample_bp or now >= config.ends_at or not body.surface.streams:
            return False
        return self._salted.basis_point(request_id) < config.sample_bp
