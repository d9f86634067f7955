"""Latencies on their way into the sketches, of all places in one column: (place, source, replicate, cell)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.quantiles import REPLICATES
from analytics.sketch import cells_of
from services.domain.bucket_table import Integers
from services.domain.metric import SKETCHED, SOURCES
from services.workers.cells import CELL_BITS, KEY_BITS, NO_CELLS, REPLICATE_BITS, Cells, merged
from services.workers.places import Place

_KEPT_RAW = 1 << 18
"""How many keys are kept before equal ones are counted together."""


class Gathered:
    """Values of many places that are not in their sketches yet."""

    def __init__(self) -> None:
        self._raw: list[Integers] = []
        self._raw_size = 0
        self._counted = NO_CELLS

    def add(self, places: Integers, source: int, buckets: Integers, microseconds: Integers) -> None:
        """Note values of one of the ``SKETCHED`` sources; all arrays have one element for each."""
        cells = cells_of(microseconds / SOURCES[SKETCHED[source]].scale)
        replicates = buckets % REPLICATES
        prefix = (places * len(SKETCHED) + source) << REPLICATE_BITS | replicates
        self._raw.append(prefix << CELL_BITS | cells)
        self._raw_size += len(cells)
        if self._raw_size > _KEPT_RAW:
            self._count()

    def hand_over(self, places: Sequence[Place]) -> list[Cells]:
        """Return what was noted for each of these places, and forget it."""
        self._count()
        keys, counts = self._counted
        numbers = np.array([place.number for place in places], np.int64)
        starts = np.searchsorted(keys, numbers << KEY_BITS)
        ends = np.searchsorted(keys, (numbers + 1) << KEY_BITS)
        kept = ~np.isin(keys >> KEY_BITS, numbers)
        self._counted = Cells(keys[kept], counts[kept])
        within = keys & ((1 << KEY_BITS) - 1)
        return [
            Cells(within[start:end], counts[start:end])
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def _count(self) -> None:
        if not self._raw:
            return
        keys, counts = np.unique(np.concatenate(self._raw), return_counts=True)
        self._raw, self._raw_size = [], 0
        self._counted = merged(self._counted, Cells(keys, counts.astype(np.int64)))
