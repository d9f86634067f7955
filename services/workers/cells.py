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
    if not len(one.keys) or not len(other.keys):
        return one if len(one.keys) else other
    keys, counts = np.concatenate([one.keys, other.keys]), np.concatenate([one.counts, other.counts])
    # Both are in order: this sort only merges them.
    order = keys.argsort(kind="stable")
    keys = keys[order]
    starts = _starts(keys)
    return Cells(keys[starts], np.add.reduceat(counts[order], starts))


def sketches_of(cells: Cells) -> Sketches:
    """Return sketches as they are stored."""
    found: Sketches = {}
    prefixes = cells.keys >> CELL_BITS
    starts = _starts(prefixes)
    keys, counts = (cells.keys & ((1 << CELL_BITS) - 1)).tolist(), cells.counts.tolist()
    ends = np.append(starts, len(keys))[1:]
    for prefix, start, end in zip(prefixes[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        source, replicate = SKETCHED[prefix >> REPLICATE_BITS], prefix & (REPLICATES - 1)
        found.setdefault(source, {})[replicate] = (keys[start:end], counts[start:end])
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


def _starts(ordered: Integers) -> Integers:
    """Return where each distinct value begins."""
    is_new = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)
