"""Python's search for reference cycles, made rare in a worker.

Counting makes many objects that live until the next flush, and no cycles. With Python's defaults the
search goes through all of them again and again, and costs more than the counting.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 200_000
"""How many more objects there must be before a search begins; Python's default is 700."""


def search_rarely() -> None:
    """Call it once, when what stays for the life of the process has been imported and made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
