"""The distribution of a variant's latencies, kept for quantiles, and how it is stored with a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from analytics.quantiles import ReplicatedSketch
from analytics.results import Insufficient


class SourceSketches:
    """Sketches by source, as ``latency``: counts by cell and replicate, of values in seconds."""

    __slots__ = ("by_source",)

    def __init__(self, by_source: Mapping[str, ReplicatedSketch]) -> None:
        self.by_source = by_source

    def of(self, source: str) -> ReplicatedSketch | Insufficient:
        """Return the sketch of a source, or say that there is none yet."""
        found = self.by_source.get(source)
        if found is None or not found.n:
            return Insufficient(f"no values of {source} are counted yet")
        return found

    def only(self, sources: frozenset[str]) -> SourceSketches:
        """The sketches of these sources."""
        return SourceSketches({name: one for name, one in self.by_source.items() if name in sources})

    def pack(self) -> dict[str, Any]:
        """As JSON: for each source the rows (replicate, cell, count) that are not 0, column by column."""
        packed = {}
        for source in sorted(self.by_source):
            sketch = self.by_source[source]
            replicates, places = np.nonzero(sketch.counts)
            counts = sketch.counts[replicates, places]
            packed[source] = [replicates.tolist(), sketch.cells[places].tolist(), counts.tolist()]
        return packed

    @classmethod
    def unpack(cls, packed: dict[str, Any]) -> Self:
        """Read ``pack``ed sketches back."""
        return cls({source: ReplicatedSketch.from_rows(*rows) for source, rows in packed.items()})


NO_SKETCHES = SourceSketches({})
