"""The estimate and the interval of the difference, and how often the interval is right."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analytics.betting import Floats, log_factors_if_worse, log_sum
from analytics.columns import TickCounts
from analytics.difference import INTERVAL_RATIOS, difference_estimate, difference_interval
from analytics.results import Insufficient, Interval
from analytics.traffic import Flags

SHARES = (0.05, 0.25, 0.5)


def interval_of(*counts: TickCounts, alpha: float = 0.05) -> Interval:
    interval = difference_interval(counts, alpha=alpha)
    assert isinstance(interval, Interval)
    return interval


@given(
    share=st.floats(0.01, 0.99),
    treatment_errors=st.integers(0, 1000),
    control_errors=st.integers(0, 1000),
    others=st.integers(1, 100_000),
)
def test_the_interval_holds_the_estimate(
    share: float, treatment_errors: int, control_errors: int, others: int
) -> None:
    """At one share no bet has won at the estimate itself, where the scores have mean 0."""
    counts = TickCounts(0, share, treatment_errors, control_errors, others)
    estimate = difference_estimate([counts])
    assert isinstance(estimate, float)
    assert estimate in interval_of(counts)


@given(treatment_errors=st.integers(0, 500), control_errors=st.integers(0, 500))
def test_exchanging_the_roles_turns_the_interval_round(treatment_errors: int, control_errors: int) -> None:
    one = interval_of(TickCounts(0, 0.25, treatment_errors, control_errors, 1000))
    other = interval_of(TickCounts(0, 0.75, control_errors, treatment_errors, 1000))
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower), abs=1e-9)


def excluded(shares: tuple[float, ...], observed: Floats, difference: float, alpha: float) -> Flags:
    """Whether the bets on a larger difference, or those on a smaller one, have reached 2/α.

    Args:
        shares: the m shares.
        observed: shape (..., m, 3), what was seen at each: treatment errors, control errors, others.
        difference: the difference in question.
        alpha: of both sides together.
    """
    w = np.array(shares)
    larger = np.tensordot(observed, log_factors_if_worse(w, difference, INTERVAL_RATIOS), axes=2)
    smaller = np.tensordot(
        observed[..., [1, 0, 2]], log_factors_if_worse(1.0 - w, -difference, INTERVAL_RATIOS), axes=2
    )
    won = np.maximum(log_sum(larger), log_sum(smaller)) - math.log(len(INTERVAL_RATIOS))
    reached: Flags = won >= math.log(2.0 / alpha)
    return reached


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 4_000)), min_size=3, max_size=3
    ),
    alpha=st.floats(0.001, 0.5),
)
def test_the_limits_lie_where_the_bets_begin_to_win(rows: list[tuple[int, int, int]], alpha: float) -> None:
    counts = [TickCounts(0, share, *row) for share, row in zip(SHARES, rows, strict=True)]
    interval = difference_interval(counts, alpha=alpha)
    assume(isinstance(interval, Interval) and interval.width > 4e-6)
    assert isinstance(interval, Interval)
    observed = np.array(rows, np.float64)
    for limit, outwards in ((interval.lower, -1e-6), (interval.upper, 1e-6)):
        assert not excluded(SHARES, observed, limit - outwards, alpha)
        if abs(limit) < 1.0:
            assert excluded(SHARES, observed, limit + outwards, alpha)


def test_ticks_do_not_matter() -> None:
    together = interval_of(TickCounts(0, 0.05, 3, 20, 2000), TickCounts(0, 0.25, 5, 20, 1000))
    apart = interval_of(TickCounts(9, 0.25, 5, 20, 1000), TickCounts(4, 0.05, 3, 20, 2000))
    assert together == apart


def test_the_interval_goes_on_narrowing() -> None:
    widths = [interval_of(TickCounts(0, 0.5, n, n, 98 * n)).width for n in (1, 10, 100, 1000, 10_000)]
    assert all(after < 0.6 * before for before, after in pairwise(widths))
    assert widths[-1] < 0.0025


def test_no_errors_at_all_still_give_an_interval() -> None:
    interval = interval_of(TickCounts(0, 0.05, 0, 0, 10_000))
    assert -0.002 < interval.lower < 0.0 < interval.upper < 0.02


def test_a_regression_lies_outside() -> None:
    assert interval_of(TickCounts(0, 0.05, 25, 95, 9880)).lower > 0.0


def test_a_difference_that_turned_round_is_not_given_an_interval() -> None:
    counts = [TickCounts(0, 0.01, 186, 1122, 3), TickCounts(1, 0.9, 3672, 0, 10_232)]
    result = difference_interval(counts, alpha=0.05)
    assert isinstance(result, Insufficient)
    assert "changed" in result.reason


def test_without_observations_there_is_no_number() -> None:
    assert isinstance(difference_interval([], alpha=0.05), Insufficient)
    assert isinstance(difference_estimate([]), Insufficient)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        difference_interval([TickCounts(0, 0.5, 1, 1, 1)], alpha=alpha)


@pytest.mark.parametrize(
    ("control_rate", "difference", "shares"),
    [
        (0.05, 0.0, (0.05,)),
        (0.05, 0.0, (0.5,)),
        (0.20, 0.1, (0.05, 0.25, 0.5)),
        (0.30, -0.2, (0.1, 0.5)),
        (0.0, 0.0, (0.5,)),
    ],
)
def test_coverage_at_all_times_together(
    control_rate: float, difference: float, shares: tuple[float, ...]
) -> None:
    """Looked at 12 times while the requests double; the control's rate drifts up by a half.

    An interval misses what its bets exclude, and they can be asked about all runs at once.
    """
    alpha, runs, looks = 0.2, 2_000, 12
    random = np.random.default_rng(20_26)
    observed, missed = np.zeros((runs, len(shares), 3)), np.zeros(runs, np.bool_)
    for look in range(looks):
        place = look * len(shares) // looks
        share, drifted = shares[place], control_rate * (1.0 + 0.5 * look / looks)
        chances = share * (drifted + difference), (1.0 - share) * drifted
        observed[:, place] += random.multinomial(10 * 2**look, [*chances, 1.0 - sum(chances)], runs)
        missed |= excluded(shares, observed, difference, alpha)
    standard_error = (alpha * (1.0 - alpha) / runs) ** 0.5
    assert missed.mean() <= alpha + 4.0 * standard_error
