"""Results in long form: complete, unique, finite, and honest about when they may be looked at."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import numpy as np
import pytest

from analytics.corrections import benjamini_hochberg, holm
from services.domain.ab_evaluation import evaluate_test
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_results import result_rows
from services.domain.ab_segments import Segment, segment_rows
from services.domain.bucket_table import BucketTable
from services.domain.results import ResultRow
from services.domain.sketches import NO_SKETCHES
from tests.unit.domain.sums import COLUMNS, METRICS, Variant, definition, inputs, two


def rows_of(given: ABTestInputs) -> list[ResultRow]:
    return result_rows(evaluate_test(given))


def one(rows: list[ResultRow], metric: str, statistic: str, method: str, **more: str) -> ResultRow:
    wanted = {"metric": metric, "statistic": statistic, "method": method, **more}
    (found,) = [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
    return found


def key(row: ResultRow) -> tuple[str, ...]:
    return (row.metric, row.segment, row.statistic, row.variant, row.comparison_to, row.method)


RICH = inputs(two(cost=0.8))


@pytest.mark.parametrize(
    "given",
    [RICH, inputs(two(units=40)), inputs(two(units=0)), inputs(two(error=0.0, units=300))],
    ids=["rich", "few", "none", "no errors"],
)
def test_every_row_is_unique_and_has_a_number_or_a_reason(given: ABTestInputs) -> None:
    rows = rows_of(given)
    assert max(Counter(map(key, rows)).values()) == 1
    for row in rows:
        assert (row.point is None) == (row.insufficient is not None)
        assert all(math.isfinite(value) for value in msgspec.structs.astuple(row) if isinstance(value, float))
        if row.lower is not None and row.upper is not None and row.point is not None:
            assert row.lower <= row.point <= row.upper


def test_every_metric_has_every_statistic_by_every_method() -> None:
    rows = rows_of(RICH)
    for metric in METRICS:
        found = {(row.statistic, row.method) for row in rows if row.metric == metric.key}
        if metric.kind == "quantile":
            assert found == {("quantile", "sequential"), ("absolute_difference", "sequential")}
            continue
        assert found >= {
            ("mean", "sequential"),
            ("mean", "fixed_horizon"),
            ("absolute_difference", "sequential"),
            ("absolute_difference", "fixed_horizon"),
            ("absolute_difference", "bayesian"),
            ("relative_difference", "sequential"),
            ("chance_to_beat_control", "bayesian"),
            ("expected_loss", "bayesian"),
            ("units_needed", "sequential"),
            ("minutes_needed", "sequential"),
        }


def test_only_what_may_be_peeked_at_says_so() -> None:
    for row in rows_of(RICH):
        assert row.always_valid == (row.method in ("sequential", "exact_sequential"))
        assert not row.exploratory


def test_means_are_in_the_metrics_units() -> None:
    control = two(cost=0.8)[0]
    rows = rows_of(RICH)
    mean = one(rows, "cost", "mean", "sequential", variant="a")
    assert mean.point == pytest.approx(control.cost_nanos.mean() / 1e9)
    assert mean.n == len(control.cost_nanos)
    ratio = one(rows, "cost_per_token", "mean", "sequential", variant="a")
    assert ratio.point == pytest.approx(control.cost_nanos.sum() / 1e9 / control.tokens.sum())
    per_unit = one(rows, "requests_per_unit", "mean", "sequential", variant="a")
    assert per_unit.point == pytest.approx(len(control.error) / control.units)
    assert per_unit.n == control.units
    p95 = one(rows, "latency_p95", "quantile", "sequential", variant="a")
    assert p95.point == pytest.approx(np.quantile(control.latency_us / 1e6, 0.95), rel=0.02)


def test_exact_evidence_stands_beside_shares_of_requests_and_of_units() -> None:
    rows = rows_of(inputs(two(error=0.05, conversion=0.3)))
    for metric in ("error_rate", "conversion"):
        row = one(rows, metric, "e_value", "exact_sequential")
        assert row.point is not None
        assert row.point > 100
        assert row.p_value is not None
        assert row.p_value <= 1 / row.point * (1 + 1e-9) or row.p_value < 0.01


def test_a_rate_without_events_says_so_instead_of_p_1() -> None:
    row = one(rows_of(inputs(two(), defined=None)), "content_filter_rate", "e_value", "exact_sequential")
    assert row.p_value is None
    assert row.insufficient is not None
    assert "no event" in row.insufficient


def test_a_share_with_few_events_has_a_mean_and_no_comparison() -> None:
    rows = [row for row in rows_of(inputs(two(conversion=0.001))) if row.metric == "conversion"]
    for row in rows:
        if row.statistic == "mean":
            assert row.point is not None
        elif row.statistic == "absolute_difference":
            assert row.insufficient is not None
            assert "analysis buckets, 5 needed" in row.insufficient
    assert one(rows, "conversion", "e_value", "exact_sequential").point is not None


def test_a_winner_needs_no_more_units_and_an_undecided_goal_says_how_many() -> None:
    rows = rows_of(RICH)
    assert one(rows, "cost", "minutes_needed", "sequential").point == 0.0
    needed = one(rows, "conversion", "units_needed", "sequential")
    assert needed.point is not None
    assert needed.point > needed.n == 6_000


def test_units_needed_is_what_decides_when_there_are_that_many() -> None:
    """With as many times the sums, the p-value is just about small enough for the first of two goals."""
    small = inputs(two(seed=11, units=800, cost=0.97))
    needed = one(rows_of(small), "cost", "units_needed", "sequential")
    assert needed.point is not None
    times = needed.point / needed.n
    for factor, excluded in ((0.95 * times, False), (1.05 * times, True)):
        # Copies of all units: as many times the mean's precision.
        grown = msgspec.structs.replace(
            small, buckets=tuple(_grown(table, factor) for table in small.buckets)
        )
        row = one(rows_of(grown), "cost", "absolute_difference", "sequential")
        assert row.p_value is not None
        assert (row.p_value <= 0.05 / 2) == excluded


def test_nothing_is_missing_exactly_where_the_corrected_p_decides() -> None:
    """The naive way that fails: each goal for itself, so that one with p = .03 of four seems decided."""
    test = definition(goals=("cost", "conversion", "requests_per_unit", "cost_per_token"))
    seen = set()
    for seed in range(12):
        rows = rows_of(inputs(two(seed=seed, units=3_000, cost=0.95, conversion=0.09), defined=test))
        for metric in (*test.goals, *test.secondary):
            decides = one(rows, metric, "absolute_difference", "sequential")
            needed = one(rows, metric, "units_needed", "sequential")
            if decides.p_value is None or decides.adjusted_p_value is None or needed.point is None:
                assert decides.insufficient == needed.insufficient
                continue
            assert (needed.point == needed.n) == (decides.adjusted_p_value <= 0.05)
            seen.add((decides.p_value <= 0.05, decides.adjusted_p_value <= 0.05))
    assert seen == {(True, True), (True, False), (False, False)}


def test_nothing_is_foretold_before_the_first_look() -> None:
    rows = rows_of(inputs(two(units=30)))
    look = one(rows, "conversion", "absolute_difference", "sequential")
    needed = one(rows, "conversion", "units_needed", "sequential")
    assert look.insufficient is not None
    assert "too few units so far" in look.insufficient
    assert needed.insufficient == look.insufficient


def _grown(table: BucketTable, factor: float) -> BucketTable:
    """Sums of as many times the units: bucket totals grow by the factor, residuals by its root."""
    n, s = table.sums[:, 0].astype(float), table.sums[:, 1].astype(float)
    mean = s.sum(axis=1, keepdims=True) / np.maximum(n.sum(axis=1, keepdims=True), 1.0)
    grown = factor * mean * n + math.sqrt(factor) * (s - mean * n)
    return BucketTable(table.columns, np.round(np.stack([factor * n, grown], axis=1)).astype(np.int64))


def test_with_a_covariate_both_results_are_there_and_the_corrected_p_is_the_deciding_ones() -> None:
    test = msgspec.structs.replace(definition(goals=("requests_per_unit",)), covariate_header="x-before")
    rows = rows_of(inputs(two(), defined=test))
    plain = one(rows, "requests_per_unit", "absolute_difference", "sequential")
    after = one(rows, "requests_per_unit", "absolute_difference", "sequential_cuped")
    assert plain.adjusted_p_value == plain.p_value
    assert after.adjusted_p_value == after.p_value
    cost = one(rows, "cost", "absolute_difference", "sequential")
    assert cost.adjusted_p_value is None
    assert not [row for row in rows if row.metric == "cost" and row.method.endswith("cuped")]


def test_every_test_of_a_goal_or_secondary_metric_is_corrected_for_all_that_were_planned() -> None:
    """The naive way that fails: only the deciding row is, and of the others one in twenty is significant."""
    goals = ("cost", "conversion", "requests_per_unit", "cost_per_token")
    test = definition(goals=goals, secondary=("latency_mean", "error_rate"), guardrails=())
    rows = rows_of(inputs(two(cost=0.95, conversion=0.22), defined=test))
    for statistic in ("absolute_difference", "relative_difference"):
        once = {
            row.metric: row for row in rows if (row.statistic, row.method) == (statistic, "fixed_horizon")
        }
        for metrics, correct in ((goals, holm), (test.secondary, benjamini_hochberg)):
            known = [one for metric in metrics if (one := once[metric]).p_value is not None]
            assert len(known) < len(metrics) or metrics is not goals
            expected = correct([row.p_value or 0.0 for row in known], planned=len(metrics))
            assert tuple(row.adjusted_p_value for row in known) == expected
    tested = [row for row in rows if row.metric in (*goals, *test.secondary) and row.p_value is not None]
    assert all(row.adjusted_p_value is not None for row in tested if row.comparison_to)
    assert all(row.adjusted_p_value is None for row in rows if row.metric == "content_filter_rate")


def test_the_relative_difference_has_the_corrected_p_of_the_absolute_one() -> None:
    rows = [*rows_of(RICH), *segment_rows(RICH, segments(7))]
    pairs = 0
    for relative in rows:
        if (relative.statistic, relative.method) == ("relative_difference", "sequential"):
            absolute = one(
                rows, relative.metric, "absolute_difference", "sequential", segment=relative.segment
            )
            if relative.insufficient is None:
                assert relative.adjusted_p_value == absolute.adjusted_p_value
                pairs += relative.adjusted_p_value is not None
    assert pairs >= 6


def test_the_parts_of_the_units_are_shown_with_one_p_value() -> None:
    rows = [row for row in rows_of(RICH) if row.statistic == "sample_ratio"]
    assert [(row.variant, row.point, row.n) for row in rows] == [("a", 0.5, 3_000), ("b", 0.5, 3_000)]
    assert {row.p_value for row in rows} == {1.0}


def segments(seed: int) -> list[Segment]:
    random = np.random.default_rng(seed)
    return [
        Segment(
            f"tier={name}",
            (Variant(random, 500).table(), Variant(random, 500, cost=cost).table()),
            (NO_SKETCHES, NO_SKETCHES),
        )
        for name, cost in (("free", 1.0), ("pro", 0.7), ("other", 1.0))
    ]


def test_segments_are_exploratory_and_corrected_over_all_of_them() -> None:
    rows = segment_rows(RICH, segments(7))
    assert all(row.exploratory and row.segment.startswith("tier=") for row in rows)
    assert max(Counter(map(key, rows)).values()) == 1
    tests = [row for row in rows if row.statistic == "absolute_difference"]
    assert len(tests) == 3 * len(METRICS)
    known = [row for row in tests if row.p_value is not None]
    expected = benjamini_hochberg([row.p_value or 0.0 for row in known], planned=len(tests))
    assert tuple(row.adjusted_p_value for row in known) == expected
    found = {row.segment for row in known if row.metric == "cost" and (row.adjusted_p_value or 1) < 0.05}
    assert found == {"tier=pro"}


def test_a_segment_nobody_was_in_says_so() -> None:
    empty = Segment("tier=new", (BucketTable.empty(COLUMNS),) * 2, (NO_SKETCHES,) * 2)
    assert all(row.insufficient for row in segment_rows(RICH, [empty]))
