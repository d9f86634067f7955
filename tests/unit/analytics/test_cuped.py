"""CUPED: it moves nothing but the noise."""

import numpy as np
import pytest

from analytics.buckets import BucketSums, bucketed_mean
from analytics.comparison import fixed_horizon
from analytics.cuped import Adjustment, adjusted_mean, adjustment
from analytics.estimates import Estimate
from analytics.results import Insufficient
from tests.unit.analytics.compared import done, estimated


def experiment(random: np.random.Generator, effect: float, noise: float = 0.5) -> list[BucketSums]:
    """Treatment and control over 300 buckets, with a covariate that explains most of the metric."""
    variants = []
    for shift in (effect, 0.0):
        n = random.integers(1, 20, 300).astype(float)
        level = random.normal(10.0, 3.0, 300)
        s = n * (shift + 2.0 * level + noise * random.standard_normal(300))
        variants.append(BucketSums.of(n, s, n * level))
    return variants


def adjusted(variants: list[BucketSums]) -> list[Estimate]:
    by = adjustment(variants)
    assert isinstance(by, Adjustment)
    return [estimated(adjusted_mean(sums, by)) for sums in variants]


def test_theta_is_the_slope() -> None:
    by = adjustment(experiment(np.random.default_rng(1), 0.0))
    assert isinstance(by, Adjustment)
    assert by.theta == pytest.approx(2.0, abs=0.05)


def test_what_the_covariate_explains_is_gone() -> None:
    variants = experiment(np.random.default_rng(2), 0.1)
    plain = done(fixed_horizon(*(bucketed_mean(sums) for sums in variants)))
    better = done(fixed_horizon(*adjusted(variants)))
    assert better.interval.width < 0.15 * plain.interval.width
    assert 0.1 in better.interval


def test_a_covariate_that_explains_nothing_changes_little() -> None:
    random = np.random.default_rng(3)
    variants = [
        BucketSums.of(np.ones(500), random.standard_normal(500), random.standard_normal(500)) for _ in "tc"
    ]
    plain = done(fixed_horizon(*(bucketed_mean(sums) for sums in variants)))
    same = done(fixed_horizon(*adjusted(variants)))
    assert same.interval.width == pytest.approx(plain.interval.width, rel=0.02)


def test_the_unit_and_the_origin_of_the_covariate_do_not_matter() -> None:
    variants = experiment(np.random.default_rng(4), 0.1)
    moved = [BucketSums(sums.n, sums.s, 1000.0 * sums.x - 7.0 * sums.n) for sums in variants]  # type: ignore[operator]
    for plain, other in zip(adjusted(variants), adjusted(moved), strict=True):
        assert other.mean == pytest.approx(plain.mean)
        assert other.variance == pytest.approx(plain.variance)


def test_the_mean_before_stays_the_reference() -> None:
    variants = experiment(np.random.default_rng(5), 0.0)
    for sums, estimate in zip(variants, adjusted(variants), strict=True):
        assert estimate.unadjusted_mean == estimated(bucketed_mean(sums)).mean


def test_coverage() -> None:
    random, runs = np.random.default_rng(6), 1_000
    covered = sum(
        0.1 in done(fixed_horizon(*adjusted(experiment(random, 0.1, 2.0)))).interval for _ in range(runs)
    )
    assert 0.935 <= covered / runs <= 0.965


def test_without_a_covariate_there_is_no_adjustment() -> None:
    without, constant = BucketSums.of([1, 1], [1, 2]), BucketSums.of([1, 2], [1, 2], [3, 6])
    assert isinstance(adjustment([without, constant]), Insufficient)
    assert isinstance(adjustment([constant, constant]), Insufficient)
    assert isinstance(adjustment([]), Insufficient)
    one = BucketSums.of([1], [1], [1])
    assert isinstance(adjusted_mean(one, Adjustment(1.0, 0.0)), Insufficient)
    with pytest.raises(ValueError, match="no covariate"):
        adjusted_mean(without, Adjustment(1.0, 0.0))
