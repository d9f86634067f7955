"""Where a latency lies among the control's: by quantiles of what the control did before.

The thresholds of a minute come from the control's latencies of earlier minutes only, so that what is counted
against them is a fair bet (statistics of a latency test need thresholds that are fixed before they are used).
Until enough is known nothing is counted. They live in memory: whoever takes over a partition begins anew.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99)
BINS = len(LEVELS) + 1
ENOUGH = 100
"""How many latencies of the control make thresholds."""
KEPT = 1_000
"""How many of the newest are looked at."""


def _window() -> deque[int]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class LatencyWindow:
    """The control's newest latencies of one experiment and phase, in microseconds."""

    _tick: int = 0
    _earlier: deque[int] = field(default_factory=_window)
    _now: deque[int] = field(default_factory=_window)
    _thresholds: list[int] = field(default_factory=list)

    def place(self, latency_us: int, tick: int, *, is_control: bool) -> int:
        """Return how many thresholds the latency exceeds, plus one; 0 while there are none."""
        if tick > self._tick:
            self._turn_to(tick)
        if is_control:
            self._now.append(latency_us)
        return bisect_left(self._thresholds, latency_us) + 1 if self._thresholds else 0

    def _turn_to(self, tick: int) -> None:
        self._tick = tick
        self._earlier.extend(self._now)
        self._now.clear()
        if len(self._earlier) >= ENOUGH:
            known = sorted(self._earlier)
            self._thresholds = [known[math.ceil(level * len(known)) - 1] for level in LEVELS]
