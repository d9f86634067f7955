"""Which events each unit had before: one open hash table for all units of a partition, asked by the column.

The one owner of a partition decides what is first, in the order of the log. With a set of Python's for each
variant, of thousands, each question waits for memory several times. Here an entry is sixteen bytes, and the
questions of many outcomes wait together.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.uint32]
Events = NDArray[np.uint32]
"""A bit for each kind of event."""

SMALLEST = 1 << 10
"""Places of an empty table."""

_ENTRY = np.dtype([("unit", np.uint64), ("ledger", np.uint32), ("events", np.uint32)])
_SEED = np.uint64(int.from_bytes(os.urandom(8)) | 1)
"""Nobody can choose units that get in each other's way. What is decided does not depend on it."""
_LEDGER_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class UnitTable:
    """The events of units, by ledger and unit. Ledgers have numbers from 1 on."""

    __slots__ = ("_entries", "_size")

    def __init__(self) -> None:
        self._entries = np.zeros(SMALLEST, _ENTRY)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def note(self, ledgers: Numbers, units: Hashes, events: Events) -> tuple[Events, Events]:
        """Note events of units, in order; all arrays have one element for each.

        Returns:
            Which of the events are the unit's first of their kind, and which it had before those.
            Of what has no first event, the latter is not filled in.
        """
        slots = self._slots(ledgers, units)
        known = self._entries["events"]
        new, before = np.zeros_like(events), np.zeros_like(events)
        left = np.flatnonzero(events & ~known[slots])
        while len(left):
            # Of each unit the first one alone: what the others are depends on it.
            now = left[np.unique(slots[left], return_index=True)[1]]
            at, noted = slots[now], events[now]
            before[now] = known[at]
            new[now] = noted & ~before[now]
            known[at] |= noted
            left = left[events[left] & ~known[slots[left]] != 0]
        return new, before

    def forget(self, ledgers: Numbers) -> None:
        """Forget all units of these ledgers."""
        entries = self._entries[self._entries["ledger"] != 0]
        self._rebuild(entries[~np.isin(entries["ledger"], ledgers)], SMALLEST)

    def _slots(self, ledgers: Numbers, units: Hashes) -> Integers:
        """Return where the entry of each unit is; those that had none get one."""
        slots = self._probe(self._homes(ledgers, units), ledgers, units)
        owners = self._entries["ledger"]
        missing = np.flatnonzero(owners[slots] == 0)
        if 2 * (self._size + len(missing)) > len(self._entries):
            self._grow(self._size + len(missing))
            return self._slots(ledgers, units)
        while len(missing):
            at = slots[missing]
            entries = np.zeros(len(at), _ENTRY)
            entries["unit"], entries["ledger"] = units[missing], ledgers[missing]
            # Where several want the same place one of them gets it, and the others look on from there.
            self._entries[at] = entries
            self._size += len(np.unique(at))
            slots[missing] = self._probe(at, ledgers[missing], units[missing])
            missing = missing[owners[slots[missing]] == 0]
        return slots

    def _probe(self, slots: Integers, ledgers: Numbers, units: Hashes) -> Integers:
        """Return where each unit's entry is or, where it has none, the next empty place."""
        owned, hashes = self._entries["ledger"], self._entries["unit"]
        owners = owned[slots]
        others = ((owners != ledgers) | (hashes[slots] != units)) & (owners != 0)
        left, last = np.flatnonzero(others), len(self._entries) - 1
        while len(left):
            at = slots[left] = (slots[left] + 1) & last
            owners = owned[at]
            others = ((owners != ledgers[left]) | (hashes[at] != units[left])) & (owners != 0)
            left = left[others]
        return slots

    def _homes(self, ledgers: Numbers, units: Hashes) -> Integers:
        """Return where the search for each unit begins."""
        mixed = (units ^ (ledgers * _LEDGER_FACTOR)) * _SEED
        bits = (len(self._entries) - 1).bit_length()
        return (mixed >> np.uint64(64 - bits)).astype(np.int64)

    def _grow(self, least: int) -> None:
        entries = self._entries[self._entries["ledger"] != 0]
        self._rebuild(entries, 1 << (2 * least).bit_length())

    def _rebuild(self, entries: NDArray[np.void], places: int) -> None:
        """Fill a new table with entries of different units.

        In the order of their homes each comes right behind the one before, or to its home if that is later:
        all at once, and from one end of the memory to the other.
        """
        self._entries = np.zeros(max(places, 1 << (2 * len(entries)).bit_length()), _ENTRY)
        homes = self._homes(entries["ledger"], entries["unit"])
        order, numbers = np.argsort(homes), np.arange(len(entries))
        slots = np.maximum.accumulate(homes[order] - numbers) + numbers
        size = self._size = int(np.searchsorted(slots, len(self._entries)))
        self._entries[slots[:size]] = entries[order[:size]]
        # Beyond the end it goes on at the beginning.
        left = entries[order[size:]]
        self._entries["events"][self._slots(left["ledger"], left["unit"])] = left["events"]
