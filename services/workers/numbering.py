"""Numbers that leave no gaps, for columns that are added up by them."""

from __future__ import annotations

import numpy as np

from services.domain.bucket_table import Integers

_PLACES_FOR_NOTHING = 1 << 16


def renumbered(slots: Integers, size: int) -> tuple[Integers, Integers]:
    """Return the slots below ``size`` that occur, in order, and for each slot given which of those it is."""
    if size > 32 * len(slots) + _PLACES_FOR_NOTHING:
        return np.unique(slots, return_inverse=True)
    # Quicker than sorting, as long as most slots are in use.
    occurs = np.zeros(size, np.bool_)
    occurs[slots] = True
    used = np.flatnonzero(occurs)
    number = np.empty(size, np.int64)
    number[used] = np.arange(len(used))
    return used, number[slots]


def ranges(starts: Integers, sizes: Integers) -> Integers:
    """Return so many numbers from each start on, one after the other."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + sizes, sizes) + np.arange(total)
