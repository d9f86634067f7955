"""The mean of paired differences and its confidence sequence."""

import numpy as np
import pytest

from analytics.buckets import BucketSums
from analytics.paired import PairedDifference, mean_difference
from analytics.results import Insufficient, Interval


def of_units(units: np.ndarray, differences: np.ndarray) -> BucketSums:
    return BucketSums.from_rows(units, np.ones(len(units)), differences)


def test_without_a_pair_there_is_no_mean() -> None:
    assert isinstance(mean_difference(BucketSums.of([0.0], [0.0])), Insufficient)


@pytest.mark.parametrize("sums", [BucketSums.of([7], [14]), BucketSums.of([1] * 10, range(10))])
def test_few_buckets_have_a_mean_and_no_interval(sums: BucketSums) -> None:
    found = mean_difference(sums)
    assert isinstance(found, PairedDifference)
    assert found.mean == pytest.approx(sums.total / sums.total_n)
    assert isinstance(found.interval, Insufficient)


def test_differences_that_never_differ_have_no_interval() -> None:
    found = mean_difference(BucketSums.of([1] * 100, [2] * 100))
    assert isinstance(found, PairedDifference)
    assert isinstance(found.interval, Insufficient)


def test_it_knows_more_than_two_samples_that_are_not_paired() -> None:
    """Latencies differ by a factor of ten between requests, and by 0.1 within a pair."""
    random = np.random.default_rng(20261123)
    production = random.lognormal(0, 1, size=2_000)
    shadow = production + 0.1 + random.normal(0, 0.05, size=2_000)
    found = mean_difference(of_units(np.arange(2_000) % 1_000, shadow - production))
    assert isinstance(found, PairedDifference)
    assert isinstance(found.interval, Interval)
    assert 0.1 in found.interval
    assert found.interval.width < 0.02
    assert found.pairs == 2_000


def test_looking_often_rarely_misses() -> None:
    """Units that come back, looked at every 100 pairs: the mean is missed at some look in at most 5 %."""
    random = np.random.default_rng(20261123)
    missed, runs = 0, 300
    for _ in range(runs):
        own = random.normal(0.0, 1.0, size=400)
        units = random.integers(0, 400, size=3_000)
        differences = own[units] + random.normal(0.0, 2.0, size=3_000)
        looks = (mean_difference(of_units(units[:n], differences[:n])) for n in range(100, 3_001, 100))
        missed += any(
            isinstance(look, PairedDifference)
            and isinstance(look.interval, Interval)
            and 0.0 not in look.interval
            for look in looks
        )
    assert missed / runs <= 0.05
