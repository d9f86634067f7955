"""Where bucket sums are kept in memory: one long array of whole numbers, and who owns which piece of it.

A place holds the sums of one variant and segment in one partition: for each of its analysis buckets a row
of (number of values, sum) for every column. All of them lie in one array, so that outcomes of a
thousand experiments are added up by the same few operations as those of one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.domain.bucket_table import Integers
from services.domain.metric import Column
from services.storage.buckets import BucketRow, SumsKey, buckets_of
from services.workers.cells import NO_CELLS, Cells, cells_of_row


class Place:
    """A piece of the array: ``buckets`` rows of ``width`` numbers from ``start`` on."""

    __slots__ = (
        "alive",
        "buckets",
        "cells",
        "columns",
        "is_dirty",
        "key",
        "number",
        "start",
        "touched_at",
        "width",
    )

    def __init__(self, key: SumsKey, columns: tuple[Column, ...], buckets: int, number: int) -> None:
        self.key = key
        self.columns = columns
        self.buckets = buckets
        self.number = number
        self.width = 2 * len(columns)
        self.start = 0
        self.cells: Cells = NO_CELLS
        self.is_dirty = False
        self.alive = True
        self.touched_at = 0.0

    def touch(self, now: float) -> None:
        """Note that something is added to these sums."""
        self.is_dirty = True
        self.touched_at = now

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.buckets * self.width


class Places:
    """All places of this process, by key."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.numbers: Integers = np.zeros(1 << 14, np.int64)
        self._by_key: dict[SumsKey, Place] = {}
        self._used = 0
        self._free: dict[int, list[int]] = {}
        self._created = 0

    def __iter__(self) -> Iterator[Place]:
        return iter(self._by_key.values())

    def __getitem__(self, key: SumsKey) -> Place:
        return self._by_key[key]

    def get(self, key: SumsKey) -> Place | None:
        """Return the place of that key, where there is one."""
        return self._by_key.get(key)

    def add(self, key: SumsKey, columns: tuple[Column, ...], stored: BucketRow | None) -> Place:
        """Make a place, with what is stored of it."""
        self._created += 1
        place = Place(key, columns, buckets_of(key.partition, self.partitions), self._created)
        place.start = self._allocate(place.size)
        if stored is not None:
            sums = self.view(place)
            wanted = [column.key for column in columns]
            for source, name in enumerate(stored.columns):
                if name in wanted:
                    sums[:, wanted.index(name)] = stored.sums[source].T
            place.cells = cells_of_row(stored.sketches)
        self._by_key[key] = place
        return place

    def view(self, place: Place) -> Integers:
        """Return the place's numbers, shape (buckets, columns, 2): to be used before anything is added."""
        piece = self.numbers[place.start : place.start + place.size]
        return piece.reshape(place.buckets, len(place.columns), 2)

    def remove(self, place: Place) -> None:
        """Forget a place; what was not written of it is lost."""
        del self._by_key[place.key]
        place.alive = False
        self._free.setdefault(place.size, []).append(place.start)

    def clear(self) -> None:
        """Forget everything."""
        for place in self._by_key.values():
            place.alive = False
        self._by_key.clear()
        self._free.clear()
        self._used = 0
        self.numbers = np.zeros(1 << 14, np.int64)

    def _allocate(self, size: int) -> int:
        free = self._free.get(size)
        if free:
            start = free.pop()
            self.numbers[start : start + size] = 0
            return start
        start, self._used = self._used, self._used + size
        if self._used > len(self.numbers):
            grown = np.zeros(max(self._used, len(self.numbers) * 3 // 2), np.int64)
            grown[:start] = self.numbers[:start]
            self.numbers = grown
        return start
