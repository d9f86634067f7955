"""How memory is managed in a process that does nothing but serve: set once, before it begins to.

It is for a process of its own, not for a gateway that runs inside of another program, such as a test.
"""

from __future__ import annotations

import ctypes
import gc

MIB = 1024 * 1024
YOUNG_OBJECTS = 20_000
"""How many more objects there must be before cycles are searched for; Python's default is 700."""

# As <malloc.h> has them.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3


def serve_only() -> None:
    """Manage memory as a process does best that serves and does nothing else."""
    _search_rarely()
    _keep_freed_memory()


def _search_rarely() -> None:
    """Make Python's search for reference cycles rare. A request leaves none behind that is served in order.

    With Python's defaults the search goes through all requests that are under way every few of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)


def _keep_freed_memory() -> None:
    """Keep up to 64 MiB of freed memory for the next request, where the C library is glibc.

    By itself it hands buffers of bodies back to the kernel as soon as they are freed, and gets them again,
    page by page, for the next body: with bodies of 100 KB that was a third of the gateway's time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, 64 * MIB)
    mallopt(_MMAP_THRESHOLD, 4 * MIB)
