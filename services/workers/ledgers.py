"""What the owner of a partition remembers of units and reports, by experiment and phase.

The first request, error and content filter of each unit are decided by the column (see ``units``), reports
and the first true one of each unit one by one. What is new goes to Postgres in chunks of packed hashes of
64 bits: small enough to stay inside the row, and a flush adds to the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import numpy as np

from services.domain.bucket_table import Integers
from services.storage.claims import UnitChunk, UnitEvent
from services.workers.units import Events, Hashes, Numbers, UnitTable

LedgerKey = tuple[UUID, int]
"""(experiment id, phase)."""

HASH_BYTES = 8
UNITS_A_CHUNK = 224
"""With its key below the 2 KB from which Postgres moves a value out of the row."""

FEEDBACK = "feedback"
"""The event of a report: what is kept is not a unit, but the hash of the report's name and event id."""

MOST_VARIANTS = 30
"""What has a variant beyond is no outcome of ours: a test compares fewer."""
ERROR, CONTENT_FILTER, _REQUEST = 1, 2, 4
REQUESTS = (1 << (MOST_VARIANTS + 2)) - _REQUEST
"""Requests of any variant."""
_EVENT_BITS = 5
_LOADED_TOGETHER = 1 << 16


def request_event(variant_number: int) -> UnitEvent:
    """Return the event of a unit that was served a variant."""
    return f"request:{variant_number}" if variant_number else "request"


def request_bit(variant_number: int) -> int:
    """Return the bit of ``request_event``."""
    return _REQUEST << variant_number


def true_event(feedback_name: str) -> UnitEvent:
    """Return the event of a unit that a true report was about."""
    return f"true:{feedback_name}"


_IN_TABLE: tuple[UnitEvent, ...] = ("error", "content_filter", *map(request_event, range(MOST_VARIANTS)))
"""In the order of their bits."""
_NUMBER_OF = {event: number for number, event in enumerate(_IN_TABLE)}


class Series:
    """How many units had an event: as they were seen, one after the other, they are stored."""

    __slots__ = ("event", "size")

    def __init__(self, event: UnitEvent) -> None:
        self.event = event
        self.size = 0

    def append(self, packed: bytes) -> list[tuple[int, bytes]]:
        """Return what is added to which chunks, as (number, content)."""
        chunk, used = divmod(self.size, UNITS_A_CHUNK)
        self.size += len(packed) // HASH_BYTES
        room = (UNITS_A_CHUNK - used) * HASH_BYTES
        if len(packed) <= room:
            return [(chunk, packed)]
        whole = UNITS_A_CHUNK * HASH_BYTES
        pieces = [packed[start : start + whole] for start in range(room, len(packed), whole)]
        return list(enumerate([packed[:room], *pieces], start=chunk))


class Reports:
    """The hashes that were reported under one event, and those of them that are not stored yet."""

    __slots__ = ("fresh", "seen")

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.fresh: list[int] = []

    def add(self, hashed: int) -> bool:
        """Note a hash; say whether it is new."""
        if hashed in self.seen:
            return False
        self.seen.add(hashed)
        self.fresh.append(hashed)
        return True


class UnitLedger:
    """The units of one experiment and phase in one partition. ``number`` is its own in the partition."""

    __slots__ = ("experiment_id", "number", "partition", "phase", "reports", "series")

    def __init__(self, partition: int, key: LedgerKey, number: int) -> None:
        self.partition = partition
        self.experiment_id, self.phase = key
        self.number = number
        self.series: dict[UnitEvent, Series] = {}
        self.reports: dict[UnitEvent, Reports] = {}

    def sizes(self) -> dict[UnitEvent, int]:
        """Return how many units had each event."""
        return {series.event: series.size for series in self.series.values()}

    def append(self, event: UnitEvent, packed: bytes) -> list[UnitChunk]:
        """Take in new units; return what is added to which chunks."""
        series = self.series.get(event)
        if series is None:
            series = self.series[event] = Series(event)
        return [
            UnitChunk(self.partition, self.experiment_id, self.phase, event, chunk, units)
            for chunk, units in series.append(packed)
        ]


class Ledgers:
    """All ledgers of one partition at one place of its log."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._table = UnitTable()
        self._by_key: dict[LedgerKey, UnitLedger] = {}
        self._by_number: dict[int, UnitLedger] = {}
        self._next = 1
        self._fresh: list[tuple[Numbers, Hashes, Events]] = []
        self._reported: dict[UnitLedger, None] = {}
        self._loaded: list[tuple[Numbers, Hashes, Events]] = []
        self._loaded_size = 0

    def __iter__(self) -> Iterator[LedgerKey]:
        return iter(self._by_key)

    def of(self, key: LedgerKey) -> UnitLedger:
        """Return the ledger of an experiment and phase."""
        ledger = self._by_key.get(key)
        if ledger is None:
            ledger = self._by_key[key] = UnitLedger(self._partition, key, self._next)
            self._by_number[self._next] = ledger
            self._next += 1
        return ledger

    def forget(self, keys: Iterable[LedgerKey]) -> None:
        """Forget ledgers."""
        forgotten = [self._by_key.pop(key) for key in keys]
        if forgotten:
            self._take_in_loaded()
            for ledger in forgotten:
                del self._by_number[ledger.number]
                self._reported.pop(ledger, None)
            self._table.forget(np.array([ledger.number for ledger in forgotten], np.uint32))

    def note(self, ledgers: Numbers, units: Hashes, events: Events) -> tuple[Events, Events]:
        """Note events of units by the number of their ledgers (see ``UnitTable.note``)."""
        self._take_in_loaded()
        new, before = self._table.note(ledgers, units, events)
        first = np.flatnonzero(new)
        if len(first):
            self._fresh.append((ledgers[first], units[first], new[first]))
        return new, before

    def report(self, ledger: UnitLedger, event: UnitEvent, hashed: int) -> bool:
        """Note a report, or its unit; say whether it is new."""
        reports = ledger.reports.get(event)
        if reports is None:
            reports = ledger.reports[event] = Reports()
        is_new = reports.add(hashed)
        if is_new:
            self._reported[ledger] = None
        return is_new

    def load(self, chunk: UnitChunk, at_most: int | None = None) -> None:
        """Take in a stored chunk, the next one of its event, until the event has ``at_most`` units."""
        ledger, event, packed = self.of((chunk.experiment_id, chunk.phase)), chunk.event, chunk.units
        if at_most is not None:
            known = ledger.series.get(event)
            packed = packed[: (at_most - (known.size if known else 0)) * HASH_BYTES]
        if not packed:
            return
        ledger.append(event, packed)
        units = np.frombuffer(packed, "<u8").astype(np.uint64)
        if event in _NUMBER_OF:
            bit = np.uint32(1 << _NUMBER_OF[event])
            self._load(np.full(len(units), ledger.number, np.uint32), units, np.full(len(units), bit))
        else:
            reports = ledger.reports.setdefault(event, Reports())
            reports.seen.update(units.tolist())

    def take_new(self) -> tuple[list[UnitChunk], dict[UnitLedger, Mapping[UnitEvent, int]]]:
        """Return what is new since the last time: what to add to stored chunks, and the ledgers' sizes."""
        grown: dict[UnitLedger, None] = {}
        chunks: list[UnitChunk] = []
        for ledger, event, packed in self._fresh_pieces():
            chunks += ledger.append(event, packed)
            grown[ledger] = None
        for ledger in self._reported:
            for event, reports in ledger.reports.items():
                if reports.fresh:
                    chunks += ledger.append(event, np.array(reports.fresh, "<u8").tobytes())
                    reports.fresh.clear()
            grown[ledger] = None
        self._reported.clear()
        return chunks, {ledger: ledger.sizes() for ledger in grown}

    def _fresh_pieces(self) -> Iterator[tuple[UnitLedger, UnitEvent, bytes]]:
        """Yield the new units of each ledger and event, packed, in the order of the log."""
        if not self._fresh:
            return
        ledgers, units, events = (np.concatenate(parts) for parts in zip(*self._fresh, strict=True))
        self._fresh.clear()
        keys, places = _events_apart(ledgers, events)
        order = np.argsort(keys, kind="stable")
        keys, packed = keys[order], units[places[order]].astype("<u8").tobytes()
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        ends = np.append(starts[1:], len(keys)) * HASH_BYTES
        pieces = zip(keys[starts].tolist(), (starts * HASH_BYTES).tolist(), ends.tolist(), strict=True)
        for key, start, end in pieces:
            event = _IN_TABLE[key & ((1 << _EVENT_BITS) - 1)]
            yield self._by_number[key >> _EVENT_BITS], event, packed[start:end]

    def _load(self, ledgers: Numbers, units: Hashes, events: Events) -> None:
        self._loaded.append((ledgers, units, events))
        self._loaded_size += len(units)
        if self._loaded_size > _LOADED_TOGETHER:
            self._take_in_loaded()

    def _take_in_loaded(self) -> None:
        if self._loaded:
            ledgers, units, events = map(np.concatenate, zip(*self._loaded, strict=True))
            self._table.note(ledgers, units, events)
            self._loaded, self._loaded_size = [], 0


def _events_apart(ledgers: Numbers, events: Events) -> tuple[Integers, Integers]:
    """Return a key of ledger and event for every single event, and at which place it is."""
    keys, places = [], []
    occurring = int(np.bitwise_or.reduce(events))
    for number in range(len(_IN_TABLE)):
        if occurring >> number & 1:
            at = np.flatnonzero(events >> np.uint32(number) & 1)
            places.append(at)
            keys.append(ledgers[at].astype(np.int64) << _EVENT_BITS | number)
    return np.concatenate(keys), np.concatenate(places)
