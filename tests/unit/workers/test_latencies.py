"""Thresholds come from earlier minutes only."""

import math
from bisect import bisect_left
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.workers.latencies import BINS, ENOUGH, KEPT, LEVELS, LatencyWindow


def test_nothing_is_placed_before_enough_is_known() -> None:
    window = LatencyWindow()
    for latency in range(ENOUGH - 1):
        assert window.place(latency, 1, is_control=True) == 0
    assert window.place(5, 2, is_control=True) == 0
    assert window.place(5, 3, is_control=False) > 0


def test_latencies_lie_between_the_control_s_quantiles() -> None:
    """1 to 1,000 ms, so the quantiles are 500, 750, 900, 950 and 990; a latency at one does not exceed it."""
    window = LatencyWindow()
    for latency in range(1, 1_001):
        window.place(latency, 1, is_control=True)
    places = [
        window.place(latency, 2, is_control=False) for latency in (500, 501, 750, 751, 901, 951, 990, 991)
    ]
    assert places == [1, 2, 2, 3, 4, 5, 5, BINS]


def test_the_minute_under_way_changes_no_threshold() -> None:
    """The naive way that fails: thresholds that move with what is counted against them."""
    window = LatencyWindow()
    for _ in range(ENOUGH):
        window.place(100, 1, is_control=True)
    assert window.place(101, 2, is_control=True) == BINS
    for _ in range(1_000):
        window.place(1_000, 2, is_control=True)
    assert window.place(101, 2, is_control=False) == BINS
    assert window.place(101, 3, is_control=False) == 1


def test_the_treatment_moves_no_threshold() -> None:
    window = LatencyWindow()
    for _ in range(ENOUGH):
        window.place(100, 1, is_control=True)
        window.place(9_000, 1, is_control=False)
    assert window.place(200, 2, is_control=False) == BINS


minutes = st.lists(
    st.tuples(st.sampled_from([0, 1, 5, 25, 40, 150, KEPT + 7, 2 * KEPT + 3]), st.integers(1, 300)),
    max_size=20,
)


@given(minutes)
def test_thresholds_are_those_of_the_newest_whatever_came_in_which_minute(
    minutes: list[tuple[int, int]],
) -> None:
    """Few latencies are put in place one by one, many are sorted: both come to the same.

    Minutes are of different sizes and not equally slow; their latencies are random, but not drawn one by one.
    """
    window, earlier, source = LatencyWindow(), list[int](), Random(1)
    for tick, (size, slowest) in enumerate(minutes, start=1):
        known = sorted(earlier[-KEPT:])
        thresholds = [known[math.ceil(level * len(known)) - 1] for level in LEVELS if len(known) >= ENOUGH]
        latencies = source.choices(range(slowest), k=size)
        for latency in latencies:
            expected = bisect_left(thresholds, latency) + 1 if thresholds else 0
            assert window.place(latency, tick, is_control=True) == expected
        for at in thresholds:
            for latency in (at, at + 1):
                expected = bisect_left(thresholds, latency) + 1
                assert window.place(latency, tick, is_control=False) == expected
        earlier += latencies
