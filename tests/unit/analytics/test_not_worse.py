"""The cluster-robust half of promotion: its limit, its conditions, and how often it is wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.buckets import BucketSums
from analytics.not_worse import NotWorse, cluster_robust_not_worse
from analytics.results import Insufficient
from analytics.traffic import StickyUnits
from tests.unit.analytics.heavy_users import bucket_sums_so_far


def sums(requests: int, errors: int, buckets: int = 100) -> BucketSums:
    """As many requests in each of the buckets, and one error in each of the first."""
    return BucketSums.of(np.full(buckets, requests / buckets), np.arange(buckets) < errors)


def limited(
    treatment: BucketSums, control: BucketSums, margin: float = 0.02, alpha: float = 0.05
) -> NotWorse:
    result = cluster_robust_not_worse(treatment, control, margin=margin, alpha=alpha)
    assert isinstance(result, NotWorse)
    return result


@given(
    errors=st.tuples(st.integers(5, 99), st.integers(5, 99)),
    margin=st.floats(0.0, 0.1),
    alpha=st.floats(0.001, 0.4),
)
def test_it_passes_exactly_where_p_is_below_alpha(
    errors: tuple[int, int], margin: float, alpha: float
) -> None:
    result = limited(sums(5_000, errors[0]), sums(5_000, errors[1]), margin, alpha)
    assert result.upper > result.point
    if abs(result.log_p_value - math.log(alpha)) > 1e-6:
        assert result.passes == (result.log_p_value < math.log(alpha))


@given(errors=st.integers(5, 98))
def test_one_error_more_raises_the_limit(errors: int) -> None:
    control = sums(5_000, 50)
    assert limited(sums(5_000, errors), control).upper < limited(sums(5_000, errors + 1), control).upper


def test_a_treatment_that_fails_always_has_a_limit_too() -> None:
    result = limited(BucketSums.of(np.full(40, 10), np.arange(40) % 11), sums(4_000, 40))
    assert result.point < result.upper <= 1.0
    assert not result.passes


@pytest.mark.parametrize(
    ("treatment", "control", "reason"),
    [
        (sums(1_000, 10, buckets=29), sums(1_000, 10), "treatment: 29 analysis buckets"),
        (sums(1_000, 10), sums(1_000, 10, buckets=29), "control: 29 analysis buckets"),
        (sums(1_000, 4), sums(1_000, 10), "treatment: events in 4"),
        (sums(1_000, 10), sums(1_000, 0), "control: events in 0"),
    ],
)
def test_too_little_is_no_answer(treatment: BucketSums, control: BucketSums, reason: str) -> None:
    result = cluster_robust_not_worse(treatment, control, margin=0.02, alpha=0.05)
    assert isinstance(result, Insufficient)
    assert result.reason.startswith(reason)


def test_errors_of_one_bucket_do_not_add_up() -> None:
    one_unit = BucketSums.of(np.full(100, 50), np.where(np.arange(100) == 0, 50, 0))
    assert isinstance(cluster_robust_not_worse(one_unit, one_unit, margin=0.02, alpha=0.05), Insufficient)


def test_impossible_arguments_are_refused() -> None:
    fine = sums(1_000, 10)
    with pytest.raises(ValueError, match="margin"):
        cluster_robust_not_worse(fine, fine, margin=1.0, alpha=0.05)
    with pytest.raises(ValueError, match="alpha"):
        cluster_robust_not_worse(fine, fine, margin=0.02, alpha=0.5)
    with pytest.raises(ValueError, match="events <= requests"):
        cluster_robust_not_worse(BucketSums.of([1, 1], [2, 0]), fine, margin=0.02, alpha=0.05)


def promoted(share: float, treatment_rate: float, per_unit: int, correlation: float, runs: int) -> float:
    """How often a treatment is ever promoted in 20,000 requests, looked at after every 500."""
    random = np.random.default_rng(2_027)
    scenario = StickyUnits(np.full(20_000, share), 0.02, treatment_rate, per_unit, correlation)
    return float(np.mean([_ever_passes(scenario, random) for _ in range(runs)]))


def _ever_passes(scenario: StickyUnits, random: np.random.Generator) -> bool:
    for treatment, control in bucket_sums_so_far(scenario, random, step=500):
        result = cluster_robust_not_worse(treatment, control, margin=0.02, alpha=0.05)
        if isinstance(result, NotWorse) and result.passes:
            return True
    return False


@pytest.mark.parametrize(("share", "per_unit", "correlation"), [(0.5, 1, 0.0), (0.05, 10, 0.5)])
def test_false_promotions_of_a_treatment_that_is_worse_by_the_margin(
    share: float, per_unit: int, correlation: float
) -> None:
    """Where it is nearest to being wrong; the self-test claims the same of more kinds of traffic."""
    runs = 200
    error = 4.0 * (0.05 * 0.95 / runs) ** 0.5
    assert promoted(share, 0.04, per_unit, correlation, runs) <= 0.05 + error


def test_a_treatment_that_is_as_good_is_promoted() -> None:
    assert promoted(0.5, 0.02, 1, 0.0, 50) >= 0.95
    assert promoted(0.5, 0.02, 10, 0.5, 50) >= 0.3
