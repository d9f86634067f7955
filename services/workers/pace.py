"""How long a worker rests between two flushes: hardly at all, unless flushing would add up.

A flush costs some milliseconds, and microseconds for each line (variant of an experiment in a partition) in
which something was counted. The rest grows with what the last flush held. At a moderate rate a rest brings
less than would make the next one as long, so rests stay short. Only from about ``1 / OUTCOME_SECONDS``
outcomes or ``1 / LINE_SECONDS`` lines a second on does each make the next one longer, up to the limits. A
worker that is so busy falls behind without them, and whoever waits for its counts waits for that.
"""

from __future__ import annotations

OUTCOME_SECONDS, LONGEST_FOR_OUTCOMES = 10e-6, 0.05
LINE_SECONDS, LONGEST_FOR_LINES = 50e-6, 1.0


def rest(outcomes: int, lines: int, floor_seconds: float) -> float:
    """Return the least time between the starts of a flush of so much and the next one."""
    return max(
        floor_seconds,
        min(outcomes * OUTCOME_SECONDS, LONGEST_FOR_OUTCOMES),
        min(lines * LINE_SECONDS, LONGEST_FOR_LINES),
    )
