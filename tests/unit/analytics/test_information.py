"""The information limits, against the reference figures (p_c = 1 %, α = .05)."""

import pytest

from analytics.information import InformationLimit, promotion_limit, rollback_limit
from analytics.results import Insufficient


@pytest.mark.parametrize(
    ("share", "treatment_rate", "expected"),
    [
        (0.05, 0.02, 817.0),
        (0.05, 0.05, 80.0),
        (0.05, 0.10, 23.7),
        (0.05, 0.50, 2.4),
        (0.50, 0.02, 1737.0),
        (0.50, 0.05, 200.0),
        (0.50, 0.10, 67.0),
        (0.50, 0.50, 7.8),
    ],
)
def test_rollback_limits(share: float, treatment_rate: float, expected: float) -> None:
    limit = rollback_limit(0.01, treatment_rate, share, alpha=0.05)
    assert isinstance(limit, InformationLimit)
    half_a_unit_of_the_last_digit = 0.05 if expected < 60 or expected == 7.8 else 0.5
    assert limit.treatment_requests == pytest.approx(expected, abs=half_a_unit_of_the_last_digit)
    assert limit.requests == pytest.approx(limit.treatment_requests / share)


@pytest.mark.parametrize(("share", "expected"), [(0.05, 329.0), (0.5, 390.0)])
def test_promotion_limits(share: float, expected: float) -> None:
    limit = promotion_limit(0.01, 0.01, share, alpha=0.05, margin=0.02)
    assert isinstance(limit, InformationLimit)
    assert limit.treatment_requests == pytest.approx(expected, abs=0.5)


def test_a_limit_becomes_time_at_a_rate_of_requests() -> None:
    assert InformationLimit(treatment_requests=50.0, requests=1000.0).seconds(10.0) == 100.0


@pytest.mark.parametrize("control_rate", [0.0, 1.0])
def test_rates_at_the_ends_are_allowed(control_rate: float) -> None:
    limit = promotion_limit(control_rate, control_rate, 0.1, alpha=0.05, margin=0.02)
    assert isinstance(limit, InformationLimit)
    assert limit.requests > 0.0


def test_a_margin_makes_a_rollback_slower() -> None:
    without = rollback_limit(0.0, 0.05, 0.1, alpha=0.05)
    with_margin = rollback_limit(0.0, 0.05, 0.1, alpha=0.05, margin=0.02)
    assert isinstance(without, InformationLimit)
    assert isinstance(with_margin, InformationLimit)
    assert with_margin.requests > without.requests


def test_where_the_null_hypothesis_holds_there_is_nothing_to_find() -> None:
    assert isinstance(rollback_limit(0.02, 0.02, 0.1, alpha=0.05), Insufficient)
    assert isinstance(promotion_limit(0.02, 0.05, 0.1, alpha=0.05, margin=0.02), Insufficient)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="treatment_rate"):
        rollback_limit(0.1, 1.1, 0.1, alpha=0.05)
    with pytest.raises(ValueError, match="share"):
        rollback_limit(0.1, 0.2, 1.0, alpha=0.05)
    with pytest.raises(ValueError, match="margin"):
        rollback_limit(0.1, 0.2, 0.5, alpha=0.05, margin=-0.1)
    with pytest.raises(ValueError, match="requests_per_s"):
        InformationLimit(1.0, 2.0).seconds(0.0)
