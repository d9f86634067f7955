"""What a metric reads out of the sums."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from analytics.results import Insufficient
from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import BucketTable
from services.domain.metric import BUILT_IN, Metric, columns_for
from services.domain.metric_sums import MetricSums, adjusted_estimates, estimate, metric_sums
from tests.unit.domain.sums import CONVERSION, COST_PER_TOKEN, REQUESTS_PER_UNIT, two


def table(metric: Metric, **planes: tuple[list[int], list[int]]) -> BucketTable:
    """Sums of a few columns in the first buckets: column → (numbers of values, sums)."""
    columns = tuple(column.key for column in columns_for((metric,)))
    sums = np.zeros((len(columns), 2, ANALYSIS_BUCKETS), np.int64)
    for name, (n, s) in planes.items():
        place = columns.index(name)
        sums[place, 0, : len(n)], sums[place, 1, : len(s)] = n, s
    return BucketTable(columns, sums)


def of(metric: Metric, given: BucketTable) -> MetricSums:
    found = metric_sums(metric, given)
    assert isinstance(found, MetricSums)
    return found


def test_a_mean_per_request_divides_by_the_requests_that_have_a_value() -> None:
    found = of(
        BUILT_IN["first_token_mean"],
        table(BUILT_IN["first_token_mean"], first_token=([2, 0], [3_000_000, 0])),
    )
    assert (found.sums.total, found.sums.total_n, found.clock) == (3.0, 2.0, 2.0)


def test_a_mean_per_unit_divides_by_units_and_takes_the_covariate() -> None:
    metric = Metric(key="m", source="cost", per="unit")
    found = of(metric, table(metric, cost=([5, 1], [4 * 10**9, 10**9]), units=([2, 1], [3_000_000, 500_000])))
    assert (found.sums.total, found.sums.total_n, found.clock) == (5.0, 3.0, 3.0)
    assert found.sums.x is not None
    assert found.sums.x.sum() == 3.5


def test_values_of_units_that_belong_to_another_variant_are_divided_by_nothing() -> None:
    """A bucket with values and without exposed units: the unit was first served by another variant."""
    metric = Metric(key="m", source="cost", per="unit")
    found = of(metric, table(metric, cost=([5, 1], [4 * 10**9, 10**9]), units=([2, 0], [0, 0])))
    assert found.sums.total == 4.0


def test_requests_per_unit_are_counted_without_a_column_of_their_own() -> None:
    found = of(REQUESTS_PER_UNIT, table(REQUESTS_PER_UNIT, error=([7, 2], [0, 0]), units=([2, 1], [0, 0])))
    assert found.sums.total / found.sums.total_n == 3.0


def test_a_share_of_units_knows_how_many_had_the_event() -> None:
    given = table(
        CONVERSION, **{"units_with:feedback:converted": ([4, 3], [2, 1]), "units": ([10, 5], [0, 0])}
    )
    found = of(CONVERSION, given)
    assert (found.events, found.sums.total, found.sums.total_n) == (3, 3.0, 15.0)


def test_a_ratio_runs_in_requests_and_divides_by_the_other_sum() -> None:
    given = table(COST_PER_TOKEN, cost=([3, 1], [6 * 10**9, 10**9]), completion_tokens=([3, 0], [100, 0]))
    found = of(COST_PER_TOKEN, given)
    assert (found.sums.total, found.sums.total_n, found.clock) == (6.0, 100.0, 4.0)


def test_a_ratio_to_a_negative_sum_is_none() -> None:
    metric = Metric(key="m", source="cost", kind="ratio", denominator="feedback:score")
    found = metric_sums(metric, table(metric, **{"feedback:score": ([1], [-1])}))
    assert isinstance(found, Insufficient)
    assert "negative" in found.reason


def test_a_column_that_was_never_summed_is_missing_evidence_and_not_zero() -> None:
    metric = Metric(key="m", source="feedback:score")
    found = metric_sums(metric, table(BUILT_IN["cost"]))
    assert isinstance(found, Insufficient)
    assert "not summed" in found.reason


def test_nothing_counted_is_missing_evidence() -> None:
    found = estimate(metric_sums(BUILT_IN["cost"], table(BUILT_IN["cost"])))
    assert isinstance(found, Insufficient)


@pytest.mark.parametrize("metric", [BUILT_IN["cost"], COST_PER_TOKEN])
def test_only_metrics_per_unit_are_adjusted(metric: Metric) -> None:
    """How many requests a unit makes may be the treatment's doing."""
    sums = [metric_sums(metric, variant.table()) for variant in two(units=500)]
    assert isinstance(adjusted_estimates(sums), Insufficient)


def test_a_covariate_narrows_a_metric_per_unit_and_moves_it_little() -> None:
    sums = [metric_sums(REQUESTS_PER_UNIT, variant.table()) for variant in two()]
    after = adjusted_estimates(sums)
    assert not isinstance(after, Insufficient)
    for plain, adjusted in zip(map(estimate, sums), after, strict=True):
        assert not isinstance(plain, Insufficient)
        assert not isinstance(adjusted, Insufficient)
        assert adjusted.variance < plain.variance / 4
        assert abs(adjusted.mean - plain.mean) < 4 * plain.standard_error


def test_a_cap_reads_the_column_that_was_capped() -> None:
    metric = msgspec.structs.replace(BUILT_IN["cost"], key="capped", cap=2.0)
    found = of(metric, table(metric, **{"cost<=2000000000": ([2], [4 * 10**9])}))
    assert found.sums.total == 4.0


def test_a_feedback_that_one_metric_reads_as_a_share_is_yes_or_no_for_all() -> None:
    stars, likes = (
        Metric(key="stars", source="feedback:stars"),
        Metric(key="likes", source="feedback:stars", per="unit"),
    )
    share = Metric(key="top", source="feedback:stars", kind="proportion")
    other = Metric(key="other", source="feedback:other")
    alone = {column.key: column for column in columns_for((stars, likes, other))}
    together = {column.key: column for column in columns_for((stars, likes, other, share))}
    assert alone["feedback:stars"].takes(3_000_000)
    assert not together["feedback:stars"].takes(3_000_000)
    assert together["feedback:stars"].takes(1_000_000)
    assert together["feedback:stars"].takes(0)
    assert together["feedback:other"].takes(3_000_000)
    assert not together["error"].yes_or_no
