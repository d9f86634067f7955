"""A sketch in memory: sorted keys of (source, replicate, cell), and how many values each has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analytics.quantiles import REPLICATES
from services.domain.bucket_table import Integers
from services.domain.metric import SKETCHED
from services.storage.buckets import Sketches

CELL_BITS = 19
"""Cells of times are below this many bits (see `analytics.sketch`)."""
REPLICATE_BITS = 5
KEY_BITS = CELL_BITS + REPLICATE_BITS + 1


class Cells(NamedTuple):
    """Keys in order, and counts."""

    keys: Integers
    counts: Integers


NO_CELLS = Cells(np.empty(0, np.int64), np.empty(0, np.int64))


def merged(one: Cells, other: Cells) -> Cells:
    """Add up two sketches."""
    if not len(one.keys):
        return other
    keys, where = np.unique(np.concatenate([one.keys, other.keys]), return_inverse=True)
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, where, np.concatenate([one.counts, other.counts]))
    return Cells(keys, counts)


def sketches_of(cells: Cells) -> Sketches:
    """Return sketches as they are stored."""
    found: Sketches = {}
    keys, counts = cells
    prefixes, starts = np.unique(keys >> CELL_BITS, return_index=True)
    ends = np.append(starts, len(keys))[1:]
    for prefix, start, end in zip(prefixes.tolist(), starts.tolist(), ends.tolist(), strict=True):
        source, replicate = SKETCHED[prefix >> REPLICATE_BITS], prefix & (REPLICATES - 1)
        own = keys[start:end] & ((1 << CELL_BITS) - 1)
        found.setdefault(source, {})[replicate] = (own.tolist(), counts[start:end].tolist())
    return found


def cells_of_row(sketches: Sketches) -> Cells:
    """Read stored sketches back."""
    keys, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for source in sorted(sketches, key=SKETCHED.index):
        for replicate in sorted(sketches[source]):
            own, own_counts = sketches[source][replicate]
            prefix = SKETCHED.index(source) << REPLICATE_BITS | replicate
            keys.append(prefix << CELL_BITS | np.array(own, np.int64))
            counts.append(np.array(own_counts, np.int64))
    return Cells(np.concatenate(keys), np.concatenate(counts))
