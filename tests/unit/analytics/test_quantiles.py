"""Differences of quantiles between variants with heavy users."""

import numpy as np
import pytest

from analytics.comparison import Method
from analytics.quantiles import REPLICATES, QuantileDifference, ReplicatedSketch, quantile_difference
from analytics.results import Insufficient
from analytics.sketch import cells_of
from tests.unit.analytics.heavy_users import Requests, heavy_users


def replicated(requests: Requests, factor: float = 1.0) -> ReplicatedSketch:
    cells = cells_of(factor * requests.values)
    return ReplicatedSketch.from_rows(requests.buckets % REPLICATES, cells, np.ones(len(cells)))


def difference(
    treatment: ReplicatedSketch, control: ReplicatedSketch, level: float, method: Method = Method.SEQUENTIAL
) -> QuantileDifference:
    result = quantile_difference(treatment, control, level, method=method)
    assert isinstance(result, QuantileDifference)
    return result


@pytest.fixture(scope="module")
def treatment() -> ReplicatedSketch:
    return replicated(heavy_users(np.random.default_rng(1), 5_000), 2.0)


@pytest.fixture(scope="module")
def control() -> ReplicatedSketch:
    return replicated(heavy_users(np.random.default_rng(2), 5_000))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_a_variant_that_is_twice_as_slow(
    treatment: ReplicatedSketch, control: ReplicatedSketch, level: float
) -> None:
    result = difference(treatment, control, level)
    assert result.point == result.treatment - result.control
    assert result.treatment == pytest.approx(2.0 * result.control, rel=0.25)
    assert result.interval.lower > 0.0
    assert result.point in result.interval
    merged = treatment.merged.quantile(level)
    assert isinstance(merged, float)
    assert merged == pytest.approx(result.treatment, rel=0.02)


def test_looking_always_costs_width(treatment: ReplicatedSketch, control: ReplicatedSketch) -> None:
    always = difference(treatment, control, 0.9)
    once = difference(treatment, control, 0.9, Method.FIXED_HORIZON)
    assert always.interval.lower < once.interval.lower
    assert always.interval.upper > once.interval.upper


def test_exchanging_the_variants_turns_the_interval(
    treatment: ReplicatedSketch, control: ReplicatedSketch
) -> None:
    there, back = difference(treatment, control, 0.9), difference(control, treatment, 0.9)
    assert (there.interval.lower, there.interval.upper) == pytest.approx(
        (-back.interval.upper, -back.interval.lower)
    )


def test_another_unit_scales_everything(treatment: ReplicatedSketch, control: ReplicatedSketch) -> None:
    """By a power of γ every cell moves by as many places."""
    places, gamma = 100, 1.01 / 0.99
    faster, slower = (
        ReplicatedSketch(sketch.cells + places, sketch.counts) for sketch in (control, treatment)
    )
    plain, scaled = difference(treatment, control, 0.9), difference(slower, faster, 0.9)
    assert scaled.point == pytest.approx(plain.point * gamma**places)
    assert scaled.interval.upper == pytest.approx(plain.interval.upper * gamma**places)


def test_sketches_merge_whatever_cells_they_have() -> None:
    random = np.random.default_rng(3)
    parts = [heavy_users(random, 200) for _ in range(2)]
    both = Requests(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("buckets", "values")))
    merged, together = replicated(parts[0]) + replicated(parts[1]), replicated(both)
    np.testing.assert_array_equal(merged.cells, together.cells)
    np.testing.assert_array_equal(merged.counts, together.counts)
    assert merged.n == len(both.values)


def test_too_little_is_no_answer(control: ReplicatedSketch) -> None:
    few = ReplicatedSketch.from_rows([0, 1, 2], [5, 6, 7], [10, 10, 10])
    result = quantile_difference(few, control, 0.5)
    assert isinstance(result, Insufficient)
    assert "3 of 32 replicates" in result.reason
    rare = replicated(heavy_users(np.random.default_rng(4), 60))
    result = quantile_difference(control, rare, 0.9999, method=Method.FIXED_HORIZON)
    assert isinstance(result, Insufficient)
    assert "too few to limit" in result.reason
    result = quantile_difference(control, rare, 0.9999)
    assert isinstance(result, Insufficient)
    assert "values 2 lie beyond the quantile at 0.9999; a confidence sequence begins at 20" in result.reason
    nothing = ReplicatedSketch.from_rows([], [], [])
    assert isinstance(quantile_difference(nothing, nothing, 0.5), Insufficient)


def test_looking_always_begins_when_the_replicates_weigh_enough() -> None:
    """One of 32 replicates has half of all values: as much as 4 of equal size."""
    replicates, cells = np.meshgrid(np.arange(REPLICATES), np.arange(20))
    counts = np.where(replicates == 0, 31 * (30 + cells), 30 + (cells + replicates) % 7)
    uneven = ReplicatedSketch.from_rows(replicates.ravel(), cells.ravel() + 1, counts.ravel())
    assert isinstance(
        quantile_difference(uneven, uneven, 0.5, method=Method.FIXED_HORIZON), QuantileDifference
    )
    result = quantile_difference(uneven, uneven, 0.5)
    assert isinstance(result, Insufficient)
    assert "of equal size" in result.reason


def test_impossible_arguments_are_refused(control: ReplicatedSketch) -> None:
    with pytest.raises(ValueError, match="level"):
        quantile_difference(control, control, 1.0)
    with pytest.raises(ValueError, match="replicates"):
        ReplicatedSketch.from_rows([32], [1], [1])
    with pytest.raises(ValueError, match="negative"):
        ReplicatedSketch.from_rows([1], [1], [-1])
    with pytest.raises(ValueError, match="same number"):
        control + ReplicatedSketch.from_rows([1], [1], [1], size=2)


def test_coverage_with_heavy_users() -> None:
    """95 % intervals at a fixed horizon, nearly always possible; with 400 runs a standard error is 1.1 %."""
    random, runs, levels = np.random.default_rng(11), 400, (0.5, 0.9, 0.99)
    results: dict[float, list[bool]] = {level: [] for level in levels}
    for _ in range(runs):
        treatment, control = (replicated(heavy_users(random, 3_000, tail=2.0)) for _ in range(2))
        for level in levels:
            found = quantile_difference(treatment, control, level, method=Method.FIXED_HORIZON)
            if isinstance(found, QuantileDifference):
                results[level].append(0.0 in found.interval)
    for covered in results.values():
        assert len(covered) >= 0.99 * runs
        assert 0.92 <= np.mean(covered) <= 0.98
