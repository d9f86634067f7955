"""Memory that was freed, kept for the next array.

An evaluation makes and drops many arrays of some hundred kilobytes. With glibc's defaults each of them goes
back to the kernel at once and comes again, page by page and cleared: that takes longer than the arithmetic.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h has them
MMAP_BYTES = 32 << 20
"""Smaller arrays come from memory that the process has already."""
KEPT_BYTES = 64 << 20
"""The most that is kept at the end of that memory while nothing uses it."""


def keep_freed_memory() -> bool:
    """Call it once, at the start. With another C library nothing happens, and the answer is False."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(set_option(_MMAP_THRESHOLD, MMAP_BYTES) and set_option(_TRIM_THRESHOLD, KEPT_BYTES))
