"""Where a claimed partition goes on: what was counted, held against what the log holds now."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from services.storage.claims import Move, Progress


@dataclass(frozen=True, slots=True)
class LogRange:
    """The offsets a partition holds: ``start`` is its first record's, ``end`` the next one's to come."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies a record beside its offset."""

    timestamp_ms: int
    crc: int


def fingerprint(timestamp_ms: int, value: bytes | None) -> Fingerprint:
    """Return a record's fingerprint."""
    return Fingerprint(timestamp_ms, zlib.crc32(value or b""))


def last_counted_offset(progress: Progress, log: LogRange) -> int | None:
    """Return the offset of the last counted record where it can be looked up and compared."""
    offset = progress.next_offset - 1
    known = progress.last_timestamp_ms is not None and progress.last_crc is not None
    return offset if known and log.start <= offset < log.end else None


def find_move(progress: Progress, log: LogRange, found: Fingerprint | None) -> tuple[Move, str] | None:
    """Return how the next offset must change, and why, or None where the log goes on as it should.

    ``found`` is the fingerprint of the record at ``last_counted_offset``, where that was not None.
    """
    if progress.next_offset > log.end:
        why = f"the log ends at {log.end}, but was counted up to {progress.next_offset}"
    elif found is not None and found != Fingerprint(progress.last_timestamp_ms or 0, progress.last_crc or 0):
        why = f"the record at offset {progress.next_offset - 1} is not the one that was counted"
    elif log.start > progress.next_offset:
        lost = log.start - progress.next_offset
        why = f"{lost} records before offset {log.start} were removed before they were counted"
        return Move(progress.partition, log.start, lost, opens_incarnation=False), why
    else:
        return None
    why += ": the topic was recreated or cut; counting its new contents from the start"
    return Move(progress.partition, log.start, 0, opens_incarnation=True), why
