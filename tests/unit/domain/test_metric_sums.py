"""What a metric reads out of the sums."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from analytics.comparison import Comparison, fixed_horizon
from analytics.estimates import Estimate
from analytics.results import Insufficient
from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import BucketTable
from services.domain.errors import InvalidDefinition
from services.domain.metric import BUILT_IN, Metric, check_metric, columns_for
from services.domain.metric_sums import MetricSums, adjusted_estimates, comparable, estimate, metric_sums
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
    """The cost of a user without any tokens is a cost of the variant's tokens all the same."""
    given = table(COST_PER_TOKEN, cost=([3, 1], [6 * 10**9, 10**9]), completion_tokens=([3, 0], [100, 0]))
    found = of(COST_PER_TOKEN, given)
    assert (found.sums.total, found.sums.total_n, found.clock) == (7.0, 100.0, 4.0)


def test_a_ratio_to_nothing_is_missing_evidence() -> None:
    found = metric_sums(COST_PER_TOKEN, table(COST_PER_TOKEN, cost=([3], [6 * 10**9])))
    assert found == Insufficient("the sum of completion_tokens is 0 so far: nothing can be divided by it")


def test_a_treatment_that_fails_some_users_always_fails_more_per_success() -> None:
    """The error that this once was: users without a success were left out, and the failing variant won."""
    metric = Metric(key="failures_per_answer", source="error", kind="ratio", denominator="feedback:answered")
    random = np.random.default_rng(7)

    def fails(share: float) -> Estimate:
        """Of 300 users with ten requests each, this share gets nothing but failures."""
        broken = random.random(300) < share
        errors = np.where(broken, 10, random.binomial(10, 0.1, 300))
        sums = {"error": (np.full(300, 10).tolist(), errors.tolist())}
        answered = np.where(broken, 0, 10 - errors)
        sums["feedback:answered"] = (np.full(300, 10).tolist(), (answered * 1_000_000).tolist())
        found = estimate(metric_sums(metric, table(metric, **sums)))
        assert isinstance(found, Estimate)
        return found

    compared = fixed_horizon(fails(0.1), fails(0.0), alpha=0.01)
    assert isinstance(compared, Comparison)
    assert compared.lower > 0.05


def test_a_mean_that_a_few_large_values_decide_bears_no_comparison_yet() -> None:
    """One of forty users pays a dollar and not a cent; the other variant has as many, or three times."""
    metric = BUILT_IN["cost"]
    alike = [10_000_000 + 100_000 * (number % 7) for number in range(40)]
    crooked = [*alike[1:], 1_000_000_000]
    for values, of_other, bears in ((alike, 3, True), (crooked, 1, True), (crooked, 3, False)):
        other = of(metric, table(metric, cost=([of_other] * 40, [of_other * value for value in alike])))
        sums = of(metric, table(metric, cost=([1] * 40, values)))
        found, _ = comparable(metric, (sums, other), (estimate(sums), estimate(other)))
        assert isinstance(found, Estimate) is bears
    assert isinstance(found, Insufficient)
    assert "from as much as 1 equal analysis buckets" in found.reason


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


def test_a_feedback_may_be_read_as_a_share_and_as_a_score() -> None:
    stars, likes = (
        Metric(key="stars", source="feedback:stars"),
        Metric(key="likes", source="feedback:stars", per="unit"),
    )
    share = Metric(key="top", source="feedback:stars", kind="proportion")
    other = Metric(key="other", source="feedback:other")
    of_units = Metric(key="ever", source="feedback:stars", kind="proportion", per="unit")
    columns = {column.key: column for column in columns_for((stars, likes, other, share, of_units))}
    for key, takes in (
        ("feedback:stars", True), ("yes:feedback:stars", False), ("units_with:feedback:stars", False),
        ("feedback:other", True), ("error", True),
    ):  # fmt: skip
        assert columns[key].takes(3_000_000) == takes
        assert columns[key].takes(1_000_000)
        assert columns[key].takes(0)


def test_every_test_has_a_satisfaction_rate_and_may_average_satisfaction_too() -> None:
    score = Metric(key="score", source="feedback:satisfaction")
    rate = BUILT_IN["satisfaction_rate"]
    keys = [column.key for column in columns_for((score, rate))]
    sums = np.zeros((len(keys), 2, ANALYSIS_BUCKETS), np.int64)
    sums[keys.index("feedback:satisfaction"), :, 0] = 4, 13_000_000
    sums[keys.index("yes:feedback:satisfaction"), :, 0] = 1, 1_000_000
    given = BucketTable(tuple(keys), sums)
    assert (of(score, given).sums.total, of(score, given).clock) == (13.0, 4.0)
    assert (of(rate, given).sums.total, of(rate, given).clock) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("metric", "field"),
    [
        (Metric(key="m", source="cost", kind="ratio", denominator="requests", per="unit"), "per"),
        (Metric(key="m", source="cost", per="unit", cap=1.0), "cap"),
        (Metric(key="m", source="prompt_tokens", cap=0.4), "cap"),
        (Metric(key="m", source="cost", cap=1e-10), "cap"),
    ],
)
def test_what_would_mean_something_else_than_it_says_is_refused(metric: Metric, field: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        check_metric(metric)
    assert refused.value.field == field
