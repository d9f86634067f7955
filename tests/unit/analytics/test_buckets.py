"""Cluster-robust means out of bucket sums: invariances, and coverage with heavy users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analytics.betting import Floats
from analytics.buckets import BucketSums, bucketed_mean, bucketed_rate
from analytics.comparison import fixed_horizon
from analytics.means import SampleSums, sample_mean
from analytics.results import Insufficient
from tests.unit.analytics.compared import done, estimated
from tests.unit.analytics.heavy_users import heavy_users

COUNTS = hnp.arrays(np.float64, 8, elements=st.integers(0, 50).map(float))
VALUES = hnp.arrays(np.float64, 8, elements=st.integers(-1000, 1000).map(float))
SUMS = st.builds(lambda n, values: BucketSums.of(n, n * values), COUNTS, VALUES).filter(
    lambda sums: sums.filled >= 2
)


def test_the_formula() -> None:
    sums = BucketSums.of([2, 0, 3, 5], [4.0, 0.0, 9.0, 7.0])
    estimate = estimated(bucketed_mean(sums))
    e, leverage = np.array([4.0 - 2.0 * 2, 9.0 - 2.0 * 3, 7.0 - 2.0 * 5]), np.array([0.2, 0.3, 0.5])
    variance = 2 / 3 * float(((e / (1.0 - leverage)) ** 2).sum()) / 100.0
    assert (estimate.mean, estimate.sample_size, estimate.degrees) == (2.0, 10.0, 100 / 38 - 1)
    assert estimate.variance == pytest.approx(variance)


@given(sums=SUMS)
def test_the_variance_is_that_of_leaving_one_bucket_out(sums: BucketSums) -> None:
    filled = np.flatnonzero(sums.n)
    without = [(sums.total - sums.s[b]) / (sums.total_n - sums.n[b]) for b in filled]
    shifts = np.array(without) - sums.total / sums.total_n
    jackknife = (len(filled) - 1) / len(filled) * float(shifts @ shifts)
    assert estimated(bucketed_mean(sums)).variance == pytest.approx(jackknife, rel=1e-9, abs=1e-12)


@given(values=VALUES, n=st.integers(1, 50))
def test_equal_buckets_have_no_leverage(values: Floats, n: int) -> None:
    sums = BucketSums.of(np.full(8, n), values)
    residuals = values - values.mean()
    expected = 8 / 7 * float(residuals @ residuals) / (8 * n) ** 2
    assert estimated(bucketed_mean(sums)).variance == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_bucket_that_leaves_nothing_but_rounding_gives_a_number() -> None:
    estimate = estimated(bucketed_mean(BucketSums.of([1e20, 1.0, 2.0], [1e20, 5.0, 1.0])))
    assert np.isfinite(estimate.variance)
    assert estimate.degrees == 1.0


def test_one_sample_in_each_bucket_is_the_plain_mean() -> None:
    values = [1.0, 4.0, 2.0, 8.0]
    clustered = estimated(bucketed_mean(BucketSums.of(np.ones(4), values)))
    plain = estimated(sample_mean(SampleSums.of(values)))
    assert clustered.variance == pytest.approx(plain.variance)
    assert (clustered.mean, clustered.sample_size, clustered.degrees) == (3.75, 4, 3)


@given(one=SUMS, other=SUMS, third=SUMS)
def test_sums_merge_in_any_order(one: BucketSums, other: BucketSums, third: BucketSums) -> None:
    there, back = one + (other + third), (third + one) + other
    np.testing.assert_array_equal(there.n, back.n)
    np.testing.assert_array_equal(there.s, back.s)


@given(sums=SUMS, scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_the_estimate_follows_scale_and_shift(sums: BucketSums, scale: float, shift: float) -> None:
    plain = estimated(bucketed_mean(sums))
    moved = estimated(bucketed_mean(BucketSums(sums.n, scale * sums.s + shift * sums.n)))
    assert moved.mean == pytest.approx(scale * plain.mean + shift, abs=1e-6)
    assert moved.variance == pytest.approx(scale**2 * plain.variance, rel=1e-6, abs=1e-9)


@given(sums=SUMS, order=st.permutations(range(8)))
def test_buckets_have_no_order(sums: BucketSums, order: list[int]) -> None:
    plain, mixed = (estimated(bucketed_mean(s)) for s in (sums, BucketSums(sums.n[order], sums.s[order])))
    assert mixed.mean == pytest.approx(plain.mean)
    assert mixed.variance == pytest.approx(plain.variance, rel=1e-9, abs=1e-9)


def test_rows_are_gathered() -> None:
    sums = BucketSums.from_rows([3, 1, 3], [1, 2, 4], [10.0, 20.0, 30.0], [1.0, 1.0, 1.0], size=4)
    np.testing.assert_array_equal(sums.n, [0, 2, 0, 5])
    np.testing.assert_array_equal(sums.s, [0, 20, 0, 40])
    assert sums.x is not None
    np.testing.assert_array_equal(sums.x, [0, 1, 0, 2])
    assert (sums.filled, sums.total_n, sums.total) == (2, 7.0, 60.0)


def test_the_clock_can_be_another_than_the_denominator() -> None:
    sums = BucketSums.of([2000, 3000], [4.0, 9.0])
    assert estimated(bucketed_mean(sums)).sample_size == 5000
    assert estimated(bucketed_mean(sums, sample_size=12)).sample_size == 12


@given(sums=SUMS)
def test_degrees_of_freedom_are_those_of_equal_buckets(sums: BucketSums) -> None:
    degrees = estimated(bucketed_mean(sums)).degrees
    assert 1.0 <= degrees <= max(1.0, sums.filled - 1 + 1e-9)
    equal = BucketSums.of(np.where(sums.n > 0.0, 7.0, 0.0), np.where(sums.n > 0.0, sums.s, 0.0))
    assert estimated(bucketed_mean(equal)).degrees == pytest.approx(sums.filled - 1)


@pytest.mark.parametrize("n", [[0, 0], [5, 0]])
def test_one_bucket_says_nothing_about_variation(n: list[int]) -> None:
    result = bucketed_mean(BucketSums.of(n, [float(count) for count in n]))
    assert isinstance(result, Insufficient)
    assert "2 needed" in result.reason


def test_a_rate_needs_events_and_their_absence_in_several_buckets() -> None:
    n = np.full(40, 3.0)
    for events, reason in ((4, "events in 4"), (0, "events in 0")):
        few = BucketSums.of(n, np.arange(40) < events)
        result = bucketed_rate(few)
        assert isinstance(result, Insufficient)
        assert result.reason.startswith(reason)
    always = bucketed_rate(BucketSums.of(n, n))
    assert isinstance(always, Insufficient)
    assert always.reason.startswith("samples without an event in 0")
    enough = BucketSums.of(n, np.arange(40) < 5)
    assert bucketed_rate(enough) == bucketed_mean(enough)
    with pytest.raises(ValueError, match="events <= requests"):
        bucketed_rate(BucketSums.of([1.0], [2.0]))


def test_buckets_that_are_alike_do_not_vary() -> None:
    assert estimated(bucketed_mean(BucketSums.of([3, 7, 11], [0.3, 0.7, 1.1]))).variance == 0.0


@pytest.mark.parametrize(
    ("n", "s", "x"),
    [
        ([1, 2], [1.0], None),
        ([-1, 2], [0.0, 1.0], None),
        ([1, 1], [1.0, float("inf")], None),
        ([1, 0], [1.0, 0.0], [1.0, 1.0]),
    ],
)
def test_impossible_sums_are_refused(n: list[int], s: list[float], x: list[float] | None) -> None:
    with pytest.raises(ValueError, match=r"n, s and x|negative|no covariate"):
        BucketSums.of(n, s, x)


def test_what_nothing_divides_counts_and_the_variance_is_the_jackknifes() -> None:
    """Every bucket left out once, also those that have a sum alone."""
    random = np.random.default_rng(11)
    n = np.where(random.random(60) < 0.3, 0.0, random.poisson(5.0, 60) + 1.0)
    s = random.poisson(2.0, 60) + 1.0
    found = estimated(bucketed_mean(BucketSums(n, s)))
    assert found.mean == pytest.approx(s.sum() / n.sum())
    without = (s.sum() - s) / (n.sum() - n)
    assert found.variance == pytest.approx(59 / 60 * ((without - found.mean) ** 2).sum())
    assert isinstance(bucketed_mean(BucketSums.of([0, 0, 4], [1.0, 2.0, 3.0])), Insufficient)


def test_only_like_sums_are_added() -> None:
    with pytest.raises(ValueError, match="same buckets"):
        BucketSums.of([1, 1], [1, 1]) + BucketSums.of([1, 1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match="lie in"):
        BucketSums.from_rows([4], [1], [1], size=4)


@pytest.mark.parametrize(
    ("users", "tail", "correlation"),
    [(2_000, 1.5, 0.3), (5_000, 1.5, 0.3), (300, 2.5, 0.5), (100, 1.5, 0.3), (1_000, 1.2, 0.5)],
)
def test_coverage_with_heavy_users(users: int, tail: float, correlation: float) -> None:
    """95 % intervals of the difference; requests taken as independent would cover less."""
    random, runs = np.random.default_rng(42), 1_000
    covered = covered_if_independent = 0
    for _ in range(runs):
        treatment, control = (
            heavy_users(random, users, tail=tail, correlation=correlation) for _ in range(2)
        )
        both = [bucketed_mean(requests.sums) for requests in (treatment, control)]
        covered += 0.0 in done(fixed_horizon(*both)).interval
        plain = [sample_mean(requests.plain_sums) for requests in (treatment, control)]
        covered_if_independent += 0.0 in done(fixed_horizon(*plain)).interval
    assert 0.935 <= covered / runs <= 0.965
    assert covered_if_independent / runs < 0.9
