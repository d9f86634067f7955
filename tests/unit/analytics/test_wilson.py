"""Wilson's interval over correlated samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from analytics.buckets import BucketSums, bucketed_mean
from analytics.estimates import Estimate
from analytics.results import Insufficient, Interval
from analytics.wilson import clustered_rate, limits_of_share, wilson


@given(st.integers(1, 2_000), st.data())
def test_it_is_wilsons_interval_where_samples_are_independent(n: int, data: st.DataObject) -> None:
    events = data.draw(st.integers(0, n))
    reference = binomtest(events, n).proportion_ci(0.95, method="wilson")
    found = wilson(events / n, n)
    assert (found.lower, found.upper) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_nothing_and_one_bucket_have_no_interval() -> None:
    assert isinstance(clustered_rate(BucketSums.of([0, 0], [0, 0])), Insufficient)
    found = clustered_rate(BucketSums.of([0, 9], [0, 3]))
    assert not isinstance(found, Insufficient)
    assert (found.rate, found.samples) == (pytest.approx(1 / 3), 9)
    assert isinstance(found.interval, Insufficient)


@pytest.mark.parametrize("events", [0.0, 1.0])
def test_where_nothing_varies_busy_buckets_say_no_more_than_others(events: float) -> None:
    n = np.array([100.0] * 10 + [0.0] * 5)
    found = clustered_rate(BucketSums.of(n, n * events))
    assert not isinstance(found, Insufficient)
    assert found.effective == pytest.approx(10)
    assert found.interval == wilson(events, 10)


def test_alike_samples_count_for_less() -> None:
    mixed = clustered_rate(BucketSums.of([10] * 40, [5, 4, 6, 5] * 10))
    alike = clustered_rate(BucketSums.of([10] * 40, [10, 0] * 20))
    assert not isinstance(mixed, Insufficient)
    assert not isinstance(alike, Insufficient)
    assert mixed.rate == alike.rate == 0.5
    assert mixed.effective == 400  # never more than there are
    assert alike.effective < 40


def test_what_is_no_rate() -> None:
    with pytest.raises(ValueError, match="events"):
        clustered_rate(BucketSums.of([1, 2], [2, 0]))
    with pytest.raises(ValueError, match="none"):
        wilson(0.5, 0)


def test_intervals_cover_the_rate_of_correlated_samples() -> None:
    """60 units, up to 50 samples each, whose own rates differ: pooled intervals would cover 70 % or less."""
    random = np.random.default_rng(20261123)
    hits, runs, rate = 0, 2_000, 0.9
    for _ in range(runs):
        n = random.integers(1, 51, size=60).astype(float)
        own = random.beta(rate * 4, (1 - rate) * 4, size=60)
        found = clustered_rate(BucketSums(n, random.binomial(n.astype(int), own).astype(float)))
        assert not isinstance(found, Insufficient)
        assert isinstance(found.interval, Interval)
        # The rate that is estimated weighs units by their samples, which are drawn apart from their rates.
        hits += rate in found.interval
    assert 0.93 <= hits / runs <= 0.97


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=2, max_size=60), st.floats(1, 10))
def test_limits_of_a_share_are_never_certain(buckets: list[tuple[int, float]], reach: float) -> None:
    """The naive way that fails: 0 of 1,914 ± 0 standard errors."""
    found = bucketed_mean(BucketSums.of([n for n, _ in buckets], [round(n * part) for n, part in buckets]))
    if isinstance(found, Insufficient):
        return
    lower, upper = limits_of_share(found, reach)
    assert 0.0 <= lower <= upper <= 1.0
    assert lower - 1e-12 <= found.mean <= upper + 1e-12
    assert upper - lower > 0.0


def test_limits_of_a_share_are_wilsons_with_the_normal_quantile() -> None:
    share = Estimate(0.2, 0.2 * 0.8 / 100, 400.0, 50.0)
    found = wilson(0.2, 100.0)
    assert limits_of_share(share, 1.959963984540054) == pytest.approx((found.lower, found.upper))
