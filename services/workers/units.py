"""Which units were seen before: first request, first error, first content filter of each unit.

The one owner of a partition decides it in memory, in the order of the log. What is new goes to Postgres in
chunks of packed 64-bit hashes: small enough to stay inside the row, and a flush rewrites only the last one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from services.storage.claims import UnitEvent

HASH_BYTES = 8
CHUNK_BYTES = 224 * HASH_BYTES
"""With its key below the 2 KB from which Postgres moves a value out of the row."""


@dataclass(slots=True)
class UnitSet:
    """The units that had one kind of event."""

    _seen: set[int] = field(default_factory=set)
    _fresh: list[int] = field(default_factory=list)
    _chunk: int = 0
    _tail: bytes = b""

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, unit_hash: int) -> bool:
        """Note the unit; say whether it is new."""
        if unit_hash in self._seen:
            return False
        self._seen.add(unit_hash)
        self._fresh.append(unit_hash)
        return True

    def load(self, chunk: int, packed: bytes) -> None:
        """Take in a stored chunk; the last one loaded is the one that grows."""
        self._seen.update(struct.unpack(f"<{len(packed) // HASH_BYTES}Q", packed))
        self._chunk, self._tail = chunk, packed

    def seal(self) -> list[tuple[int, bytes]]:
        """Return the chunks that hold what is new, as (number, content), and start anew from there."""
        if not self._fresh:
            return []
        packed = self._tail + struct.pack(f"<{len(self._fresh)}Q", *self._fresh)
        self._fresh.clear()
        pieces = [packed[start : start + CHUNK_BYTES] for start in range(0, len(packed), CHUNK_BYTES)]
        chunks = list(enumerate(pieces, start=self._chunk))
        self._chunk, self._tail = chunks[-1]
        return chunks


@dataclass(slots=True)
class UnitLedger:
    """The units of one experiment and phase in one partition."""

    request: UnitSet = field(default_factory=UnitSet)
    error: UnitSet = field(default_factory=UnitSet)
    content_filter: UnitSet = field(default_factory=UnitSet)

    def of(self, event: UnitEvent) -> UnitSet:
        """Return the units that had the event."""
        match event:
            case "request":
                return self.request
            case "error":
                return self.error
            case "content_filter":
                return self.content_filter

    def seal(self) -> list[tuple[UnitEvent, int, bytes]]:
        """Return the chunks that hold what is new, as (event, number, content)."""
        events: tuple[UnitEvent, ...] = ("request", "error", "content_filter")
        return [(event, chunk, packed) for event in events for chunk, packed in self.of(event).seal()]
