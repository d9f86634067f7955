"""Counts: merging rows and gathering them into columns."""

import numpy as np
import pytest

from analytics.columns import Columns, TickCounts, columns_of
from analytics.results import Insufficient


def gathered(*rows: TickCounts, now_tick: int | None = None) -> Columns:
    columns = columns_of(rows, now_tick)
    assert isinstance(columns, Columns)
    return columns


def test_rows_of_the_same_tick_and_share_add_up() -> None:
    assert TickCounts(7, 0.05, 1, 2, 3) + TickCounts(7, 0.05, 10, 20, 30) == TickCounts(7, 0.05, 11, 22, 33)


@pytest.mark.parametrize("other", [TickCounts(8, 0.05, 1, 1, 1), TickCounts(7, 0.25, 1, 1, 1)])
def test_rows_of_different_ticks_or_shares_do_not_add_up(other: TickCounts) -> None:
    with pytest.raises(ValueError, match="keep them as two rows"):
        TickCounts(7, 0.05, 1, 2, 3) + other


def test_rows_are_sorted_added_up_and_freed_of_empty_ones() -> None:
    columns = gathered(
        TickCounts(9, 0.25, 1, 0, 5),
        TickCounts(8, 0.25, 0, 0, 0),
        TickCounts(7, 0.25, 0, 1, 4),
        TickCounts(9, 0.05, 0, 0, 2),
        TickCounts(9, 0.25, 2, 3, 1),
    )
    np.testing.assert_array_equal(columns.ticks, [7, 9, 9])
    np.testing.assert_array_equal(columns.distinct_ticks, [7, 9])
    np.testing.assert_array_equal(columns.distinct_shares[columns.share_index], [0.25, 0.05, 0.25])
    np.testing.assert_array_equal(columns.observed.T, [[0, 1, 4], [0, 0, 2], [3, 3, 6]])
    assert columns.totals == (3, 4, 12)


def test_the_same_share_in_the_next_tick_is_another_row() -> None:
    columns = gathered(TickCounts(1, 0.5, 1, 0, 0), TickCounts(2, 0.5, 1, 0, 0))
    np.testing.assert_array_equal(columns.distinct_ticks, [1, 2])


def test_rows_after_now_are_left_out() -> None:
    columns = gathered(TickCounts(1, 0.5, 1, 0, 0), TickCounts(2, 0.5, 1, 0, 0), now_tick=1)
    assert columns.totals == (1, 0, 0)


@pytest.mark.parametrize("rows", [[], [TickCounts(1, 0.5, 0, 0, 0)]])
def test_nothing_counted_is_not_evidence(rows: list[TickCounts]) -> None:
    assert isinstance(columns_of(rows), Insufficient)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_share_that_compares_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="only one variant"):
        columns_of([TickCounts(1, share, 1, 1, 1)])


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        columns_of([TickCounts(1, 0.5, 1, -1, 1)])


def test_a_tick_is_unchanged_while_all_its_rows_are() -> None:
    earlier = gathered(*(TickCounts(tick, 0.25, tick, 0, 1) for tick in range(1, 9)))
    longer = gathered(*(TickCounts(tick, 0.25, tick, 0, 1) for tick in range(1, 11)))
    assert (longer.unchanged(earlier), earlier.unchanged(longer)) == (8, 8)
    assert longer.unchanged(gathered(TickCounts(1, 0.5, 1, 0, 1))) == 0
    second_share = gathered(
        *(TickCounts(tick, 0.25, tick, 0, 1) for tick in range(1, 9)), TickCounts(8, 0.5, 1, 0, 0)
    )
    assert (second_share.unchanged(earlier), earlier.unchanged(second_share)) == (7, 7)
    late = gathered(*(TickCounts(tick, 0.25, tick + (tick == 4), 0, 1) for tick in range(1, 9)))
    assert late.unchanged(earlier) == 3


def test_the_last_ticks_keep_their_rows_and_shares() -> None:
    columns = gathered(
        TickCounts(1, 0.05, 1, 0, 0),
        TickCounts(2, 0.05, 2, 0, 0),
        TickCounts(2, 0.25, 3, 0, 0),
        TickCounts(4, 0.25, 4, 0, 0),
    )
    later = columns.since(1)
    np.testing.assert_array_equal(later.distinct_ticks, [2, 4])
    np.testing.assert_array_equal(later.distinct_shares[later.share_index], [0.05, 0.25, 0.25])
    np.testing.assert_array_equal(later.observed[0], [2, 3, 4])
