"""Means of independent samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.estimates import Estimate
from analytics.means import SampleSums, sample_mean
from analytics.results import Insufficient

SAMPLES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


@given(samples=st.lists(st.integers(-1000, 1000), min_size=2, max_size=50))
def test_the_estimate_is_that_of_the_samples(samples: list[int]) -> None:
    estimate = sample_mean(SampleSums.of(samples))
    assert isinstance(estimate, Estimate)
    assert estimate.mean == pytest.approx(np.mean(samples))
    assert estimate.variance == pytest.approx(np.var(samples, ddof=1) / len(samples), rel=1e-6, abs=1e-9)
    assert (estimate.sample_size, estimate.degrees) == (len(samples), len(samples) - 1)


@given(one=SAMPLES, other=SAMPLES)
def test_sums_merge(one: list[float], other: list[float]) -> None:
    merged, together = SampleSums.of(one) + SampleSums.of(other), SampleSums.of(one + other)
    assert merged.n == together.n
    assert merged.total == pytest.approx(together.total, abs=1e-6)
    assert merged.squares == pytest.approx(together.squares)


def test_rounding_is_not_variation() -> None:
    estimate = sample_mean(SampleSums.of([0.1] * 1000))
    assert isinstance(estimate, Estimate)
    assert estimate.variance == 0.0


@pytest.mark.parametrize("samples", [[], [3.0]])
def test_a_variance_needs_two_samples(samples: list[float]) -> None:
    assert isinstance(sample_mean(SampleSums.of(samples)), Insufficient)


def test_sums_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        SampleSums(3, float("nan"), 1.0)
    with pytest.raises(ValueError, match="finite"):
        SampleSums(-1, 0.0, 0.0)
