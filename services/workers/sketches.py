"""Latencies on their way into the sketches, of all places in one column: (place, source, replicate, cell)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from analytics.quantiles import REPLICATES
from analytics.sketch import cells_of
from services.domain.bucket_table import Integers
from services.domain.metric import SKETCHED, SOURCES
from services.workers.cells import CELL_BITS, KEY_BITS, REPLICATE_BITS, Cells, merged
from services.workers.places import Place, partition_of

_KEPT_RAW = 1 << 18
"""How many keys are kept before equal ones are counted together."""


class Gathered:
    """Values of many places that are not in their sketches yet."""

    def __init__(self) -> None:
        self._raw: list[Integers] = []
        self._raw_size = 0
        self._counted: defaultdict[int, list[Cells]] = defaultdict(list)
        """By partition, in pieces: put together once, when they are handed over. Doing so with each piece
        would take the longer the more there are."""

    def add(self, ranks: Integers, source: int, buckets: Integers, microseconds: Integers) -> None:
        """Note values of one of the ``SKETCHED`` sources; all arrays have one element for each.

        Args:
            ranks: of the values' places.
        """
        cells = cells_of(microseconds / SOURCES[SKETCHED[source]].scale)
        replicates = buckets % REPLICATES
        prefix = (ranks * len(SKETCHED) + source) << REPLICATE_BITS | replicates
        self._raw.append(prefix << CELL_BITS | cells)
        self._raw_size += len(cells)
        if self._raw_size > _KEPT_RAW:
            self._count()

    def hand_over(self, partitions: Iterable[int], places: Sequence[Place]) -> list[Cells]:
        """Return what was noted for each of these places, all that have something in the partitions."""
        self._count()
        keys, counts = merged(*(piece for one in partitions for piece in self._counted.pop(one, ())))
        ranks: Integers = np.array([place.rank for place in places], np.int64)
        starts = np.searchsorted(keys, ranks << KEY_BITS).tolist()
        ends = np.searchsorted(keys, (ranks + 1) << KEY_BITS).tolist()
        within = keys & ((1 << KEY_BITS) - 1)
        return [Cells(within[start:end], counts[start:end]) for start, end in zip(starts, ends, strict=True)]

    def _count(self) -> None:
        if not self._raw:
            return
        keys, counts = np.unique(np.concatenate(self._raw), return_counts=True)
        self._raw, self._raw_size = [], 0
        partitions, starts = np.unique(partition_of(keys >> KEY_BITS), return_index=True)
        ends = [*starts[1:].tolist(), len(keys)]
        for partition, start, end in zip(partitions.tolist(), starts.tolist(), ends, strict=True):
            # Copies: a piece of an array would keep all of it.
            self._counted[partition].append(Cells(keys[start:end].copy(), counts[start:end].copy()))
