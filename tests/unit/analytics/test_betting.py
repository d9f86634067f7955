"""The bets: their factors, and that no bet wins on average while its null hypothesis holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.betting import (
    FRACTIONS,
    RATIOS,
    Floats,
    log_factors_if_not_worse,
    log_factors_if_worse,
    log_sum,
)

SHARES = st.floats(0.0001, 0.9999)
RATES = st.floats(0.0, 1.0)


def mean_factors(log_factors: Floats, share: float, treatment_rate: float, control_rate: float) -> Floats:
    """The mean factor of each bet for one observation at these rates."""
    treatment_error, control_error = share * treatment_rate, (1.0 - share) * control_rate
    chances = np.array([treatment_error, control_error, 1.0 - treatment_error - control_error])
    mean: Floats = chances @ np.exp(log_factors[0])
    return mean


def test_without_margin_the_factors_are_those_of_which_variant_an_error_came_from() -> None:
    share, ratio = 0.05, np.array(RATIOS)
    treatment_error, control_error, other = np.exp(log_factors_if_worse(np.array([share]), 0.0)[0])
    np.testing.assert_allclose(treatment_error, ratio / (1.0 + share * (ratio - 1.0)))
    np.testing.assert_allclose(control_error, 1.0 / (1.0 + share * (ratio - 1.0)))
    np.testing.assert_array_equal(other, 1.0)


def test_with_margin_the_factors_are_one_plus_stake_times_score() -> None:
    share, margin = 0.3, 0.02
    for k, ratio in enumerate(RATIOS):
        stake = share * (1 - share) * (ratio - 1) / (1 + share * (ratio - 1)) / (1 + margin * (1 - share))
        factors = np.exp(log_factors_if_worse(np.array([share]), margin)[0, :, k])
        scores = np.array([1 / share, -1 / (1 - share), 0.0])
        np.testing.assert_allclose(factors, 1.0 + stake * (scores - margin))
    for k, fraction in enumerate(FRACTIONS):
        stake = fraction / (1 / share - margin)
        factors = np.exp(log_factors_if_not_worse(np.array([share]), margin)[0, :, k])
        np.testing.assert_allclose(factors, 1.0 - stake * (scores - margin))


@given(share=SHARES, control_rate=RATES, treatment_rate=RATES, margin=st.floats(-0.999, 0.999))
def test_a_bet_on_worse_never_wins_on_average_while_the_treatment_is_not_worse(
    share: float, control_rate: float, treatment_rate: float, margin: float
) -> None:
    treatment_rate = max(0.0, min(treatment_rate, control_rate + margin))
    if treatment_rate - control_rate > margin:
        return  # a margin below −p_c leaves no rate for the treatment
    factors = log_factors_if_worse(np.array([share]), margin)
    assert np.isfinite(factors).all()
    assert (mean_factors(factors, share, treatment_rate, control_rate) <= 1.0 + 1e-9).all()


@given(share=SHARES, control_rate=RATES, treatment_rate=RATES, margin=st.floats(0.0, 0.999))
def test_a_bet_on_not_worse_never_wins_on_average_while_the_treatment_is_worse(
    share: float, control_rate: float, treatment_rate: float, margin: float
) -> None:
    treatment_rate = min(1.0, max(treatment_rate, control_rate + margin))
    control_rate = min(control_rate, treatment_rate - margin)
    if control_rate < 0.0:
        return
    factors = log_factors_if_not_worse(np.array([share]), margin)
    assert np.isfinite(factors).all()
    assert (mean_factors(factors, share, treatment_rate, control_rate) <= 1.0 + 1e-9).all()


@given(share=SHARES, margin=st.floats(-1.0, 0.99), step=st.floats(0.0001, 0.01))
def test_no_factor_of_a_bet_on_worse_grows_with_the_margin(share: float, margin: float, step: float) -> None:
    before = log_factors_if_worse(np.array([share]), margin)
    after = log_factors_if_worse(np.array([share]), margin + step)
    assert (after <= before + 1e-9).all()


def test_log_sum_neither_overflows_nor_underflows() -> None:
    terms = np.array([[1e6, 1e6], [-1e6, -np.inf], [0.0, np.log(3.0)]])
    assert log_sum(terms) == pytest.approx([1e6 + np.log(2.0), -1e6, np.log(4.0)])
