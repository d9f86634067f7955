"""Where a latency lies among the control's: by quantiles of what the control did before.

The thresholds of a minute come from the control's latencies of earlier minutes only, so that what is counted
against them is a fair bet (statistics of a latency test need thresholds that are fixed before they are used).
Until enough is known nothing is counted. They live in memory: whoever takes over a partition begins anew.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter

LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99)
BINS = len(LEVELS) + 1
ENOUGH = 100
"""How many latencies of the control make thresholds."""
KEPT = 1_000
"""How many of the newest are looked at."""
_FEW = 30
"""Up to so many are put where they belong among the others, one by one; more are sorted with them."""


@lru_cache(maxsize=KEPT)
def _quantiles(size: int) -> Callable[[array[int]], Iterable[int]]:
    """Return what picks the levels' quantiles out of so many numbers in order."""
    return itemgetter(*(math.ceil(level * size) - 1 for level in LEVELS))


def _numbers() -> array[int]:
    # Of thousands of windows few are in the processor's cache: an object for each number would be waited for.
    return array("q")


@dataclass(slots=True)
class LatencyWindow:
    """The control's newest latencies of one experiment and phase, in microseconds."""

    _tick: int = 0
    _earlier: array[int] = field(default_factory=_numbers)
    _ordered: array[int] = field(default_factory=_numbers)
    """The earlier ones in the order of size."""
    _now: array[int] = field(default_factory=_numbers)
    _thresholds: array[int] = field(default_factory=_numbers)

    def place(self, latency_us: int, tick: int, *, is_control: bool) -> int:
        """Return how many thresholds the latency exceeds, plus one; 0 while there are none."""
        if tick > self._tick:
            self._turn_to(tick)
        if is_control:
            self._now.append(latency_us)
            if len(self._now) > 2 * KEPT:
                del self._now[:-KEPT]
        return bisect_left(self._thresholds, latency_us) + 1 if self._thresholds else 0

    def _turn_to(self, tick: int) -> None:
        self._tick = tick
        if not self._now:
            return
        if len(self._now) > _FEW:
            self._earlier = (self._earlier + self._now)[-KEPT:]
            self._ordered = array("q", sorted(self._earlier))
        else:
            for latency in self._now:
                self._note(latency)
        del self._now[:]
        known = self._ordered
        if len(known) >= ENOUGH:
            self._thresholds = array("q", _quantiles(len(known))(known))

    def _note(self, latency: int) -> None:
        if len(self._earlier) == KEPT:
            del self._ordered[bisect_left(self._ordered, self._earlier.pop(0))]
        self._earlier.append(latency)
        insort(self._ordered, latency)
