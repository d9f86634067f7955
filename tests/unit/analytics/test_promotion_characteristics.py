"""What the promotion does under continuous monitoring, against the reference figures (α = .05, δ = .02)."""

from functools import partial

import numpy as np
import pytest

from analytics.information import InformationLimit, promotion_limit
from analytics.simulation import PromotionTest
from analytics.traffic import Counting, StickyUnits
from analytics.traffic import IndependentUnits as Independent
from tests.unit.analytics.simulated import Measured, assert_at_most, assert_requests, measure

ALPHA, MARGIN = 0.05, 0.02
PROMOTION = PromotionTest(ALPHA, MARGIN)


@pytest.mark.parametrize(
    ("share", "expected", "requests", "runs"), [(0.05, 423.0, 50_000, 500), (0.5, 503.0, 5_000, 2000)]
)
def test_requests_to_promotion(share: float, expected: float, requests: int, runs: int) -> None:
    scenario = Independent(np.full(requests, share), 0.01, 0.01)
    measured = measure(scenario, PROMOTION.stops, runs=runs, seed=201)
    assert_requests(measured, expected)
    limit = promotion_limit(0.01, 0.01, share, alpha=ALPHA, margin=MARGIN)
    assert isinstance(limit, InformationLimit)
    assert measured.treatment_requests.mean() > limit.treatment_requests


@pytest.mark.parametrize(("share", "rate"), [(0.05, 0.01), (0.5, 0.01), (0.5, 0.05)])
def test_false_promotions_of_a_treatment_that_is_worse_by_the_margin(share: float, rate: float) -> None:
    scenario = Independent(np.full(20_000, share), rate, rate + MARGIN)
    measured = measure(scenario, PROMOTION.stops, runs=500, seed=202)
    assert_at_most(measured, ALPHA)
    assert measured.rate <= 0.047 + measured.rate_error


def test_a_ramp_and_an_outage_of_both_promote_nothing() -> None:
    shares = np.repeat([0.05, 0.25, 0.5], 4_000)
    rates = np.repeat([0.01, 0.01, 0.1], 4_000)
    scenario = Independent(shares, rates, rates + MARGIN)
    assert_at_most(measure(scenario, PROMOTION.stops, runs=500, seed=203), ALPHA)


def falsely_promoted(
    share: float, requests_per_unit: int, correlation: float, counting: Counting
) -> Measured:
    """A treatment worse by exactly the margin, .02 against .04, over 20,000 requests."""
    scenario = StickyUnits(np.full(20_000, share), 0.02, 0.04, requests_per_unit, correlation)
    return measure(scenario, partial(PROMOTION.stops, counting=counting), runs=250, seed=204)


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize(("requests_per_unit", "correlation"), [(1, 0.0), (10, 0.5), (50, 0.5)])
def test_first_requests_are_valid(share: float, requests_per_unit: int, correlation: float) -> None:
    measured = falsely_promoted(share, requests_per_unit, correlation, Counting.FIRST_REQUEST)
    assert_at_most(measured, ALPHA)
    assert measured.rate <= 0.03 + measured.rate_error


@pytest.mark.parametrize(
    ("counting", "share", "requests_per_unit", "lowest", "highest"),
    [
        (Counting.EVERY_REQUEST, 0.05, 50, 0.50, 0.61),
        (Counting.EVERY_REQUEST, 0.50, 10, 0.20, 0.35),
        (Counting.FIRST_ERRORS, 0.50, 10, 0.95, 1.00),
        (Counting.FIRST_ERRORS, 0.05, 50, 0.87, 1.00),
        (Counting.UNTIL_FIRST_ERROR, 0.50, 10, 0.95, 1.00),
        (Counting.UNTIL_FIRST_ERROR, 0.05, 50, 0.81, 1.00),
    ],
)
def test_nothing_else_is(
    counting: Counting, share: float, requests_per_unit: int, lowest: float, highest: float
) -> None:
    """The ranges of the reference table, which for 10 requests a unit says "up to .3", "1.00" and ".99"."""
    measured = falsely_promoted(share, requests_per_unit, 0.5, counting)
    assert lowest - measured.rate_error <= measured.rate <= highest + measured.rate_error
