"""A sketch in memory: sorted keys of (source, replicate, cell), and how many values each has."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from analytics.quantiles import REPLICATES
from services.domain.bucket_table import Integers
from services.domain.metric import SKETCHED
from services.storage.buckets import PackedSketches, Sketches
from services.storage.packed_numbers import PackedNumbers, pair

CELL_BITS = 19
"""Cells of times are below this many bits (see `analytics.sketch`)."""
REPLICATE_BITS = 5
_SOURCE_BITS = 1
_SOURCES = 1 << _SOURCE_BITS
KEY_BITS = CELL_BITS + REPLICATE_BITS + _SOURCE_BITS

_pack = msgspec.msgpack.Encoder().encode


class Cells(NamedTuple):
    """Keys in order, and counts."""

    keys: Integers
    counts: Integers


NO_CELLS = Cells(np.empty(0, np.int64), np.empty(0, np.int64))


def merged(*sketches: Cells) -> Cells:
    """Add up sketches."""
    known = [one for one in sketches if len(one.keys)]
    if len(known) < 2:
        return known[0] if known else NO_CELLS
    keys, counts = np.concatenate([one.keys for one in known]), np.concatenate([one.counts for one in known])
    # Each is in order: this sort only merges them.
    order = keys.argsort(kind="stable")
    keys = keys[order]
    starts = _starts(keys)
    return Cells(keys[starts], np.add.reduceat(counts[order], starts))


def stacked(cells: Sequence[Cells]) -> Cells:
    """Return several sketches as one: each one's keys behind its place in the sequence."""
    numbers: Integers = np.arange(len(cells), dtype=np.int64) << KEY_BITS
    places: Integers = np.repeat(numbers, [len(one.keys) for one in cells])
    keys, counts = [one.keys for one in cells], [one.counts for one in cells]
    return Cells(places | np.concatenate(keys), np.concatenate(counts))


def apart(together: Cells, size: int) -> list[Cells]:
    """Return the ``size`` sketches that were stacked."""
    ends = np.searchsorted(together.keys, np.arange(size + 1) << KEY_BITS).tolist()
    keys = together.keys & ((1 << KEY_BITS) - 1)
    # Copies: a piece of an array would keep all of it.
    return [
        Cells(keys[start:end].copy(), together.counts[start:end].copy())
        for start, end in itertools.pairwise(ends)
    ]


def packed(together: Cells, size: int) -> list[PackedSketches]:
    """Return ``size`` stacked sketches as they are stored."""
    found: list[dict[str, dict[int, msgspec.Raw]]] = [{} for _ in range(size)]
    prefixes = together.keys >> CELL_BITS
    starts = _starts(prefixes)
    cells, counts = PackedNumbers(together.keys & ((1 << CELL_BITS) - 1)), PackedNumbers(together.counts)
    ends = np.append(starts, len(prefixes))[1:]
    for prefix, start, end in zip(prefixes[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        number, replicate = prefix >> REPLICATE_BITS, prefix & (REPLICATES - 1)
        own = found[number >> _SOURCE_BITS].setdefault(SKETCHED[number & (_SOURCES - 1)], {})
        own[replicate] = pair(cells.array(start, end), counts.array(start, end))
    return list(map(_pack, found))


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
