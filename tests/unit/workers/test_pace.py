"""How long a worker rests between two flushes."""

import pytest

from services.workers.pace import LONGEST_FOR_LINES, LONGEST_FOR_OUTCOMES, rest

FLOOR = 0.005


def settled(outcomes_per_second: float, lines: int, flush_seconds: float) -> float:
    """Return the time between flushes that a steady rate, spread evenly over lines, comes to."""
    interval = FLOOR
    for _ in range(1_000):
        outcomes = outcomes_per_second * max(interval, flush_seconds)
        interval = rest(int(outcomes), int(min(lines, outcomes)), FLOOR)
    return interval


def test_a_quiet_worker_rests_as_little_as_it_may() -> None:
    assert rest(0, 0, FLOOR) == FLOOR
    assert rest(100, 16, FLOOR) == FLOOR


@pytest.mark.parametrize("lines", [16, 16_000])
def test_rests_stay_short_at_a_moderate_rate_even_after_a_slow_flush(lines: int) -> None:
    assert settled(10_000, lines, flush_seconds=0.01) <= 0.0101
    assert rest(2_000, min(lines, 2_000), FLOOR) < 0.2
    assert settled(10_000, lines, flush_seconds=0.0) == FLOOR


def test_rests_are_long_at_the_limit_and_no_longer() -> None:
    assert settled(300_000, 16, flush_seconds=0.01) == LONGEST_FOR_OUTCOMES
    assert settled(200_000, 16_000, flush_seconds=0.1) == pytest.approx(0.8)
    assert rest(10**6, 10**6, FLOOR) == LONGEST_FOR_LINES
