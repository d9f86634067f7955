"""The cluster-robust half of the latency guardrail."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.buckets import BucketSums
from analytics.results import Insufficient
from analytics.slower import Slower, cluster_robust_slower


def sums(mean_log: float, buckets: int = 200, per_bucket: float = 20.0) -> BucketSums:
    """Mean logarithms that spread by 0.2 between buckets."""
    n = np.full(buckets, per_bucket)
    return BucketSums.of(n, n * (mean_log + 0.2 * np.linspace(-1.7, 1.7, buckets)))


def judged(treatment: BucketSums, control: BucketSums, alpha: float = 0.05) -> Slower:
    result = cluster_robust_slower(treatment, control, alpha=alpha)
    assert isinstance(result, Slower)
    return result


@given(slower=st.floats(-0.5, 0.5), alpha=st.floats(0.001, 0.4))
def test_it_crosses_exactly_where_p_is_below_alpha(slower: float, alpha: float) -> None:
    result = judged(sums(slower), sums(0.0), alpha)
    assert result.lower < result.point == pytest.approx(slower, abs=1e-9)
    if abs(result.log_p_value - math.log(alpha)) > 1e-6:
        assert result.crossed == (result.log_p_value < math.log(alpha))


@given(unit=st.floats(-10.0, 10.0))
def test_the_unit_of_latency_cancels(unit: float) -> None:
    there, here = judged(sums(0.2 + unit), sums(unit)), judged(sums(0.2), sums(0.0))
    assert there.lower == pytest.approx(here.lower, abs=1e-9)


def test_the_ratio_is_of_typical_latencies() -> None:
    assert judged(sums(math.log(1.5)), sums(0.0)).ratio == pytest.approx(1.5)


def test_only_slower_is_found() -> None:
    assert judged(sums(0.3), sums(0.0)).crossed
    assert not judged(sums(0.0), sums(0.3)).crossed
    assert not judged(sums(0.0), sums(0.0)).crossed


@pytest.mark.parametrize(("treatment", "control"), [(29, 200), (200, 29)])
def test_too_few_buckets_are_no_answer(treatment: int, control: int) -> None:
    result = cluster_robust_slower(sums(1.0, treatment), sums(0.0, control), alpha=0.05)
    assert isinstance(result, Insufficient)
    assert "29 analysis buckets" in result.reason


def test_alpha_is_one_sided() -> None:
    with pytest.raises(ValueError, match="alpha"):
        cluster_robust_slower(sums(0.0), sums(0.0), alpha=0.5)
