"""How memory is managed in a process that does nothing but serve, or count: set once, before it begins to.

It is for a process of its own, not for a service that runs inside of another program, such as a test.
"""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass

MIB = 1 << 20
KEPT_BYTES = 64 * MIB
"""The most freed memory that is kept at the end of the heap while nothing uses it."""

# As <malloc.h> has them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True, slots=True)
class Habits:
    """How a kind of process uses memory.

    ``young_objects`` is how many more objects there must be before cycles are searched for; Python's default
    is 700. Pieces below ``reused_below`` bytes come from memory that the process has already.
    """

    young_objects: int
    reused_below: int


SERVING = Habits(young_objects=20_000, reused_below=4 * MIB)
"""A request leaves no cycles behind that is served in order. With bodies of 100 KB, handing their buffers
back to the kernel and getting them again, page by page, was a third of the gateway's time."""
COUNTING = Habits(young_objects=200_000, reused_below=32 * MIB)
"""Counting makes many objects that live until the next flush, and no cycles. An evaluation makes and drops
many arrays of some hundred kilobytes: clearing pages for each of them takes longer than the arithmetic."""


def set_up_memory(habits: Habits) -> None:
    """Call it when what stays for the life of the process has been imported and made."""
    search_rarely(habits)
    keep_freed_memory(habits)


def search_rarely(habits: Habits) -> None:
    """Make Python's search for reference cycles rare, and leave out of it what is there now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(habits.young_objects, 20, 50)


def keep_freed_memory(habits: Habits) -> bool:
    """Keep freed memory for what comes next. With another C library than glibc nothing happens: False."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    is_set = set_option(_MMAP_THRESHOLD, habits.reused_below), set_option(_TRIM_THRESHOLD, KEPT_BYTES)
    return all(is_set)
