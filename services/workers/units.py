"""What was seen before: the first request, error, content filter and true report of each unit, every report.

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

    seen: set[int] = field(default_factory=set)
    _fresh: list[int] = field(default_factory=list)
    _chunk: int = 0
    _tail: bytes = b""

    def __len__(self) -> int:
        return len(self.seen)

    def add(self, unit_hash: int) -> bool:
        """Note the unit; say whether it is new."""
        if unit_hash in self.seen:
            return False
        self.seen.add(unit_hash)
        self._fresh.append(unit_hash)
        return True

    def load(self, chunk: int, packed: bytes) -> None:
        """Take in a stored chunk; the last one loaded is the one that grows."""
        self.seen.update(struct.unpack(f"<{len(packed) // HASH_BYTES}Q", packed))
        self._chunk, self._tail = chunk, packed

    def load_up_to(self, size: int, chunk: int, packed: bytes) -> None:
        """Take in a stored chunk, as far as the set does not get larger than ``size``."""
        room = size - len(self)
        if room > 0:
            self.load(chunk, packed[: room * HASH_BYTES])

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


FEEDBACK = "feedback"
"""The event of a report: what is kept is not a unit, but the hash of the report's name and event id."""


def request_event(variant_number: int) -> UnitEvent:
    """Return the event of a unit that was served a variant."""
    return f"request:{variant_number}" if variant_number else "request"


def true_event(feedback_name: str) -> UnitEvent:
    """Return the event of a unit that a true report was about."""
    return f"true:{feedback_name}"


@dataclass(slots=True)
class UnitLedger:
    """The units of one experiment and phase in one partition."""

    _events: dict[UnitEvent, UnitSet] = field(default_factory=dict)
    _served: list[UnitSet] = field(default_factory=list)

    def of(self, event: UnitEvent) -> UnitSet:
        """Return the units that had the event."""
        units = self._events.get(event)
        if units is None:
            units = self._events[event] = UnitSet()
            if event.startswith("request"):
                self._served.append(units)
        return units

    def served_another(self, unit_hash: int, own: UnitSet) -> bool:
        """Say whether the unit was served a variant other than the one whose units are ``own``."""
        return any(units is not own and unit_hash in units.seen for units in self._served)

    def sizes(self) -> dict[UnitEvent, int]:
        """Return how many units had each event."""
        return {event: len(units) for event, units in self._events.items() if len(units)}

    def seal(self) -> list[tuple[UnitEvent, int, bytes]]:
        """Return the chunks that hold what is new, as (event, number, content)."""
        return [
            (event, chunk, packed) for event, units in self._events.items() for chunk, packed in units.seal()
        ]
