"""Rates of independent samples."""

import pytest

from analytics.estimates import Estimate
from analytics.means import SampleSums, sample_mean
from analytics.proportions import EventCounts, proportion
from analytics.results import Insufficient


def test_a_rate_and_its_variance() -> None:
    assert proportion(EventCounts(10_000, 500)) == Estimate(0.05, 0.05 * 0.95 / 10_000, 10_000, 9_999)


def test_a_rate_is_the_mean_of_zeros_and_ones() -> None:
    rate = proportion(EventCounts(100, 30))
    mean = sample_mean(SampleSums.of([1.0] * 30 + [0.0] * 70))
    assert isinstance(rate, Estimate)
    assert isinstance(mean, Estimate)
    assert rate.mean == mean.mean
    assert rate.variance == pytest.approx(mean.variance * 99 / 100)


def test_counts_merge() -> None:
    assert EventCounts(10, 1) + EventCounts(20, 5) == EventCounts(30, 6)


def test_a_rate_needs_two_samples() -> None:
    assert isinstance(proportion(EventCounts(1, 1)), Insufficient)


@pytest.mark.parametrize("counts", [(10, 11), (10, -1)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="events"):
        EventCounts(*counts)
