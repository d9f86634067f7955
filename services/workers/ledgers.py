"""What the owner of a partition remembers of units and reports, by experiment and phase.

The first request, error and content filter of each unit are decided by the column (see ``units``), reports
and the first true one of each unit one by one. What is new goes to Postgres in chunks of packed hashes of
64 bits: small enough to stay inside the row, and a flush adds to the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from services.domain.bucket_table import Integers
from services.storage.claims import UnitChunk, UnitEvent
from services.storage.unit_pieces import HASH_BYTES, NO_PIECES, UUID_BYTES, UnitPieces, joined
from services.workers.numbering import ranges
from services.workers.unit_ledgers import Grown, LedgerKey, Reports, UnitLedger
from services.workers.units import Events, Hashes, Numbers, UnitTable

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


class Ledgers:
    """All ledgers of one partition at one place of its log."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._table = UnitTable()
        self._by_key: dict[LedgerKey, UnitLedger] = {}
        self._by_number: dict[int, UnitLedger] = {}
        self._next = 1
        self._ids = np.empty(0, UUID_BYTES)
        self._phases = np.empty(0, np.int64)
        self._sizes = np.empty((0, len(_IN_TABLE)), np.int32)
        """How many units of each event are stored, by number of the ledger."""
        self._fresh: list[tuple[Numbers, Hashes, Events]] = []
        self._reported: dict[UnitLedger, None] = {}
        self._has_reports = False
        self._loaded: list[tuple[Numbers, Hashes, Events]] = []
        self._loaded_size = 0

    def __iter__(self) -> Iterator[LedgerKey]:
        return iter(self._by_key)

    def of(self, key: LedgerKey) -> UnitLedger:
        """Return the ledger of an experiment and phase."""
        ledger = self._by_key.get(key)
        if ledger is None:
            ledger = self._by_key[key] = self._by_number[self._next] = UnitLedger(key, self._next)
            self._make_room(self._next)
            self._ids[self._next] = np.void(ledger.experiment_id.bytes)
            self._phases[self._next] = ledger.phase
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
            self._has_reports = True
        is_new = reports.add(hashed)
        if is_new:
            self._reported[ledger] = None
        return is_new

    def load(self, chunk: UnitChunk, at_most: int | None = None) -> None:
        """Take in a stored chunk, the next one of its event, until the event has ``at_most`` units."""
        ledger, event, packed = self.of((chunk.experiment_id, chunk.phase)), chunk.event, chunk.units
        number = _NUMBER_OF.get(event)
        reports = None if number is not None else ledger.reports.setdefault(event, Reports())
        self._has_reports |= reports is not None
        if at_most is not None:
            known = int(self._sizes[ledger.number, number]) if reports is None else reports.stored
            packed = packed[: (at_most - known) * HASH_BYTES]
        units = np.frombuffer(packed, "<u8").astype(np.uint64)
        if reports is not None:
            reports.seen.update(units.tolist())
            reports.stored += len(units)
        elif number is not None:
            self._sizes[ledger.number, number] += len(units)
            bits = np.full(len(units), 1 << number, np.uint32)
            self._load(np.full(len(units), ledger.number, np.uint32), units, bits)

    def take_new(self) -> tuple[UnitPieces, Grown]:
        """Return what is new since the last time: what to add to stored chunks, and the ledgers that grew."""
        pieces, numbers = self._take_fresh()
        if self._reported:
            reported, reporting = self._take_reported()
            pieces, numbers = joined([pieces, reported]), np.union1d(numbers, reporting)
        of_reports = {
            number: {event: one.stored for event, one in self._by_number[number].reports.items()}
            for number in (numbers.tolist() if self._has_reports else ())
        }
        grown = Grown(self._partition, _IN_TABLE, self._by_number, numbers, self._sizes[numbers], of_reports)
        return pieces, grown

    def _take_fresh(self) -> tuple[UnitPieces, Integers]:
        """Return the pieces of new units, in the order of the log, and which ledgers they belong to."""
        if not self._fresh:
            return NO_PIECES, np.empty(0, np.int64)
        ledgers, units, events = (np.concatenate(parts) for parts in zip(*self._fresh, strict=True))
        self._fresh.clear()
        keys, places = _events_apart(ledgers, events)
        order = np.argsort(keys, kind="stable")
        keys, packed = keys[order], units[places[order]].astype("<u8").tobytes()
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        keys, sizes = keys[starts], np.diff(starts, append=len(keys))
        numbers, kinds = keys >> _EVENT_BITS, keys & ((1 << _EVENT_BITS) - 1)
        before = self._sizes[numbers, kinds].astype(np.int64)
        self._sizes[numbers, kinds] += sizes.astype(np.int32)
        return self._pieces(_IN_TABLE, numbers, kinds, before, sizes, packed), np.unique(numbers)

    def _take_reported(self) -> tuple[UnitPieces, Integers]:
        """Return the pieces of new reports, and which ledgers they belong to."""
        fresh = [
            (ledger.number, event, reports)
            for ledger in self._reported
            for event, reports in ledger.reports.items()
            if reports.fresh
        ]
        numbers = np.array([number for number, _, _ in fresh], np.int64)
        names = {event: at for at, event in enumerate(dict.fromkeys(event for _, event, _ in fresh))}
        events = np.array([names[event] for _, event, _ in fresh], np.int64)
        before = np.array([reports.stored for _, _, reports in fresh], np.int64)
        packed = [reports.take() for _, _, reports in fresh]
        sizes = np.array([len(one) // HASH_BYTES for one in packed], np.int64)
        self._reported.clear()
        return self._pieces(tuple(names), numbers, events, before, sizes, b"".join(packed)), numbers

    def _pieces(
        self,
        names: tuple[UnitEvent, ...],
        ledgers: Integers,
        events: Integers,
        before: Integers,
        sizes: Integers,
        packed: bytes,
    ) -> UnitPieces:
        """Cut new units, so many of each ledger and event, into what goes after those that chunks hold."""
        first = before // UNITS_A_CHUNK
        several = (before + sizes - 1) // UNITS_A_CHUNK - first + 1
        of, chunks = np.repeat(np.arange(len(sizes)), several), ranges(first, several)
        starts = np.maximum(before[of], chunks * UNITS_A_CHUNK)
        ends = np.minimum((before + sizes)[of], (chunks + 1) * UNITS_A_CHUNK)
        return UnitPieces(
            names=names,
            partitions=np.full(len(of), self._partition),
            experiment_ids=self._ids[ledgers[of]],
            phases=self._phases[ledgers[of]],
            events=events[of],
            chunks=chunks,
            sizes=ends - starts,
            packed=packed,
        )

    def _make_room(self, number: int) -> None:
        size = len(self._ids)
        if number >= size:
            more = max(size, 16)
            self._ids = np.concatenate([self._ids, np.zeros(more, UUID_BYTES)])
            self._phases = np.concatenate([self._phases, np.zeros(more, np.int64)])
            self._sizes = np.concatenate([self._sizes, np.zeros((more, len(_IN_TABLE)), np.int32)])

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
