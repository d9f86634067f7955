"""Re-arming with a memory of closed ticks: the same bits, whatever was remembered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.betting import Floats
from analytics.columns import Columns, Integers
from analytics.eprocess import PathMemory, re_armed


def columns_of_gains(gained: Floats, ticks: Integers) -> Columns:
    """A row for each tick, whose "counts" are what it adds to each bet."""
    rows = np.arange(len(ticks))
    counts = gained.T.copy().view(np.int64)
    return Columns(ticks, np.zeros(len(ticks), np.intp), np.array([0.5]), counts, rows)


def gains(columns: Columns) -> Floats:
    """What `columns_of_gains` put in."""
    return np.ascontiguousarray(columns.observed).view(np.float64).T.copy()


def other_gains(columns: Columns) -> Floats:
    return gains(columns) * 2.0


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.sampled_from([1, 8, 40]),
    st.sampled_from([5, 60, 1_440]),
    st.sampled_from([1.0, 20.0, 900.0]),
)
def test_a_memory_changes_no_bit(
    seed: int, lengths: list[int], bets: int, planned: int, spread: float
) -> None:
    """Ticks come, the open one changes, now and then a closed one does, and some are gone again."""
    random = np.random.default_rng(seed)
    ticks = np.cumsum(random.integers(1, 4, 60)).astype(np.int64)
    gained = random.normal(0.0, spread, (60, bets))
    memory = PathMemory()
    for length in lengths:
        gained[length - 1] += random.normal(0.0, 1.0, bets)
        if random.random() < 0.2:
            gained[random.integers(length)] += 1.0
        given_now = columns_of_gains(gained[:length], ticks[:length])
        with_memory = re_armed(given_now, gains, first_tick=1, planned_ticks=planned, memory=memory)
        without = re_armed(given_now, gains, first_tick=1, planned_ticks=planned)
        assert with_memory.tobytes() == without.tobytes()


@pytest.mark.parametrize(
    ("drift", "spread", "minutes"),
    [
        *((drift, 5.0, 80) for drift in (-900.0, -30.0, 0.0, 30.0, 900.0)),
        # Where bets lose slowly, what was moved long ago still counts when the scale changes.
        (-1.0, 0.1, 1_440),
        (-0.4, 0.1, 1_440),
    ],
)
def test_it_is_the_sum_of_all_that_was_moved(drift: float, spread: float, minutes: int) -> None:
    """By the definition, tick by tick: what was moved at a tick is multiplied by what came from then on."""
    ticks, bets, planned = np.arange(5, 5 + minutes, dtype=np.int64), 8, minutes * 3 // 4
    gained = np.random.default_rng(3).normal(drift, spread, (len(ticks), bets))
    path = re_armed(columns_of_gains(gained, ticks), gains, first_tick=5, planned_ticks=planned)
    stakes = np.full(bets, np.log(0.875 / bets))
    for place, tick in enumerate(ticks.tolist()):
        armed = min(tick - 4, planned)
        if tick - 4 <= planned:
            stakes = np.logaddexp(stakes, np.log(0.125 / planned / bets))
        stakes = stakes + gained[place]
        kept = [np.log(0.125 * (1.0 - armed / planned))] if armed < planned else []
        assert path[place] == pytest.approx(np.logaddexp.reduce([*stakes, *kept]), rel=1e-12, abs=1e-12)


def test_a_memory_of_another_plan_or_of_other_bets_is_not_used() -> None:
    gained, ticks = np.random.default_rng(1).normal(0.0, 1.0, (20, 8)), np.arange(1, 21, dtype=np.int64)
    memory, columns = PathMemory(), columns_of_gains(gained, ticks)
    for bets, planned in ((gains, 60), (gains, 30), (other_gains, 30)):
        found = re_armed(columns, bets, first_tick=1, planned_ticks=planned, memory=memory)
        assert (found == re_armed(columns, bets, first_tick=1, planned_ticks=planned)).all()


def test_only_what_is_new_is_looked_for() -> None:
    gained, ticks = np.ones((20, 8)), np.arange(1, 21, dtype=np.int64)
    memory, plan = PathMemory(), (gains, 1, 60)
    re_armed(columns_of_gains(gained[:15], ticks[:15]), gains, first_tick=1, planned_ticks=60, memory=memory)
    assert memory.unchanged(columns_of_gains(gained, ticks), plan) == 15
    changed = gained.copy()
    changed[9, 3] += 1e-16 + 1e-15
    assert memory.unchanged(columns_of_gains(changed, ticks), plan) == 9
    assert memory.unchanged(columns_of_gains(gained, ticks + 1), plan) == 0
