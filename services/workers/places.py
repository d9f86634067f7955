"""Where bucket sums are kept in memory: one long array of whole numbers, and who owns which piece of it.

A place holds the sums of one variant and segment in one partition: for each of its analysis buckets a row
of (number of values, sum) for every column. All of them lie in one array, so that outcomes of a
thousand experiments are added up by the same few operations as those of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from services.domain.bucket_table import Integers
from services.domain.metric import Column
from services.storage.buckets import BucketRow, SumsKey, buckets_of
from services.workers.cells import NO_CELLS, Cells, apart, cells_of_row, merged, stacked

_NUMBER_BITS = 28
"""Of a place, behind the ten of its partition, which are fewer than ``ANALYSIS_BUCKETS``."""


def partition_of(ranks: Integers) -> Integers:
    """Return the partitions of places of these ranks."""
    return ranks >> _NUMBER_BITS


class Place:
    """A piece of the array: ``buckets`` rows of ``width`` numbers from ``start`` on.

    ``rank`` is its number in an order in which those of a partition lie together.
    """

    __slots__ = ("buckets", "cells", "columns", "key", "number", "rank", "start", "width")

    def __init__(self, key: SumsKey, columns: tuple[Column, ...], buckets: int, number: int) -> None:
        self.key = key
        self.columns = columns
        self.buckets = buckets
        self.number = number
        self.rank = key.partition << _NUMBER_BITS | number
        self.width = 2 * len(columns)
        self.start = 0
        self.cells: Cells = NO_CELLS

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.buckets * self.width

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return 8 * self.size + self.cells.keys.nbytes + self.cells.counts.nbytes


_FACTS = np.dtype(
    [
        ("start", np.int64),
        ("width", np.int64),
        ("last", np.int64),
        ("shape", np.int64),
        ("rank", np.int64),
        ("is_dirty", np.bool_),
        ("touched_at", np.float64),
        ("serial", np.int64),
    ]
)


class Places:
    """All places of this process, by key.

    Attributes:
        numbers: the array that all sums lie in.
        facts: what is to be known of many places at once, by the places' numbers: where a place begins, the
            width of a row, its last bucket, which columns it has (an index into ``shapes``), its rank,
            whether anything was added since it was taken, when something was added last, and which place it
            is: numbers are used again, serials are not. 0: none.
        shapes: the columns that places have.
        bytes: how much memory all places take.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._serial = 0
        self.facts = np.zeros(1 << 8, _FACTS)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.numbers: Integers = np.zeros(1 << 14, np.int64)
        # As many as before, so that a number somebody still has is no place's, but a number.
        self.facts = np.zeros_like(self.facts)
        self.shapes: list[tuple[Column, ...]] = []
        self._by_key: dict[SumsKey, Place] = {}
        self._by_number: list[Place | None] = []
        self._unused: list[int] = []
        self._used = 0
        self.bytes = 0
        self._free: dict[int, list[int]] = {}

    def __iter__(self) -> Iterator[Place]:
        return iter(self._by_key.values())

    def __getitem__(self, key: SumsKey) -> Place:
        return self._by_key[key]

    def get(self, key: SumsKey) -> Place | None:
        """Return the place of that key, where there is one."""
        return self._by_key.get(key)

    def add(self, key: SumsKey, columns: tuple[Column, ...], stored: BucketRow | None) -> Place:
        """Make a place, with what is stored of it."""
        place = Place(key, columns, buckets_of(key.partition, self.partitions), self._number())
        place.start = self._allocate(place.size)
        if stored is not None:
            sums = self.view(place)
            wanted = [column.key for column in columns]
            for source, name in enumerate(stored.columns):
                if name in wanted:
                    sums[:, wanted.index(name)] = stored.sums[source].T
            place.cells = cells_of_row(stored.sketches)
        self._serial += 1
        last, shape = place.buckets - 1, self._shape(columns)
        facts = (place.start, place.width, last, shape, place.rank, False, 0.0, self._serial)
        self.facts[place.number] = facts
        self._by_key[key] = self._by_number[place.number] = place
        self.bytes += place.bytes
        return place

    def add_cells(self, places: Sequence[Place], cells: Sequence[Cells]) -> Cells:
        """Add to the places' sketches, each its own; return all of them, stacked."""
        together = merged(stacked([place.cells for place in places]), stacked(cells))
        for place, own in zip(places, apart(together, len(places)), strict=True):
            before = place.bytes
            place.cells = own
            self.bytes += place.bytes - before
        return together

    def touch(self, numbers: Integers, now: float) -> None:
        """Note that something is added to places of these numbers."""
        self.facts["is_dirty"][numbers] = True
        self.facts["touched_at"][numbers] = now

    def dirty(self) -> list[Place]:
        """Return the places to which something was added since they were taken."""
        found = np.flatnonzero(self.facts["is_dirty"]).tolist()
        return [place for number in found if (place := self._by_number[number]) is not None]

    def taken(self, place: Place) -> None:
        """Note that the place is as it is stored."""
        self.facts["is_dirty"][place.number] = False

    def longest_idle(self) -> list[tuple[float, Place]]:
        """Return the places that are as they are stored, with when something was added last, in that order.

        Those to which nothing was ever added come first.
        """
        touched_at, is_dirty = self.facts["touched_at"], self.facts["is_dirty"]
        order = np.argsort(touched_at[: len(self._by_number)], kind="stable").tolist()
        return [
            (float(touched_at[number]), place)
            for number in order
            if (place := self._by_number[number]) is not None and not is_dirty[number]
        ]

    def view(self, place: Place) -> Integers:
        """Return the place's numbers, shape (buckets, columns, 2): to be used before anything is added."""
        piece = self.numbers[place.start : place.start + place.size]
        return piece.reshape(place.buckets, len(place.columns), 2)

    def remove(self, place: Place) -> None:
        """Forget a place; what was not written of it is lost."""
        del self._by_key[place.key]
        self._by_number[place.number] = None
        self._unused.append(place.number)
        self.taken(place)
        self.facts["serial"][place.number] = 0
        self.bytes -= place.bytes
        self._free.setdefault(place.size, []).append(place.start)

    def _number(self) -> int:
        if self._unused:
            return self._unused.pop()
        self._by_number.append(None)
        if len(self._by_number) > len(self.facts):
            self.facts = np.concatenate([self.facts, np.zeros(len(self.facts), _FACTS)])
        return len(self._by_number) - 1

    def _shape(self, columns: tuple[Column, ...]) -> int:
        # Equal columns are the same object (see ``plans``), and shapes are few.
        for number, known in enumerate(self.shapes):
            if known is columns:
                return number
        self.shapes.append(columns)
        return len(self.shapes) - 1

    def _allocate(self, size: int) -> int:
        free = self._free.get(size)
        if free:
            start = free.pop()
            self.numbers[start : start + size] = 0
            return start
        start, self._used = self._used, self._used + size
        if self._used > len(self.numbers):
            # In place, where the system can: a copy of hundreds of megabytes would hold up everything.
            self.numbers.resize(max(self._used, len(self.numbers) * 9 // 8), refcheck=False)
        return start
