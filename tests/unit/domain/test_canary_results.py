"""A canary's results in long form."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import pytest

from services.domain.canary import CanaryDefinition
from services.domain.canary_results import CanaryNames, canary_rows
from services.domain.canary_tests import StepBuckets
from services.domain.counts import CountTable
from services.domain.evaluation import EvaluationInputs, evaluate
from services.domain.events import Role
from services.domain.results import ResultRow
from services.domain.sketches import NO_SKETCHES
from tests.unit.domain.sums import START, Variant, two

NAMES = CanaryNames("next", "now")


def rows_of(variants: list[Variant], steps: tuple[StepBuckets, ...]) -> list[ResultRow]:
    counts = CountTable.of(
        row for index, variant in enumerate(variants) for row in variant.rows(index, 5_000)
    )
    evaluation = evaluate(
        EvaluationInputs(
            definition=CanaryDefinition(treatment="next"),
            counts=counts,
            step=0,
            share_bp=5_000,
            first_tick=START,
            now_tick=START + 60,
            minutes_running=60.0,
            seconds_in_step=60.0,
            evidence_age_seconds=0.1,
        )
    )
    sketches = {role: variants[role].sketches() if variants[role].units else NO_SKETCHES for role in Role}
    return canary_rows(evaluation, NAMES, steps, sketches)


def test_it_has_every_built_in_metric_and_the_evidence_of_its_tests() -> None:
    variants = two(cost=1.2, error=0.05)
    rows = rows_of(variants, (StepBuckets(5_000, variants[0].table(), variants[1].table()),))
    keys = Counter((row.metric, row.statistic, row.variant, row.comparison_to, row.method) for row in rows)
    assert max(keys.values()) == 1
    points = {(row.metric, row.statistic, row.variant, row.method): row.point for row in rows}
    assert points["cost", "mean", "next", "sequential"] == pytest.approx(variants[1].cost_nanos.mean() / 1e9)
    assert points["cost", "relative_difference", "next", "sequential"] == pytest.approx(0.2, abs=0.05)
    assert points["error_rate", "e_value_worse", "next", "exact_sequential"] > 100  # type: ignore[operator]
    assert points["error_rate", "e_value_not_worse", "next", "exact_sequential"] is not None
    assert points["latency_p95", "quantile", "now", "sequential"] is not None
    assert points["", "sample_ratio", "now", "exact_sequential"] == 0.5


def test_the_mean_error_rate_over_a_ramp_weighs_each_step_alike_for_both() -> None:
    """An outage late in the ramp is in both means by the same weight."""
    quiet, outage = two(seed=3, error=0.01), two(seed=4, units=2_000, error=0.4)
    outage[0] = two(seed=5, units=2_000, error=0.4)[1]
    steps = (
        StepBuckets(500, quiet[0].table(), two(seed=6, units=150)[0].table()),
        StepBuckets(5_000, outage[0].table(), outage[1].table()),
    )
    rows = rows_of(quiet, steps)
    (found,) = [
        row
        for row in rows
        if (row.metric, row.statistic, row.method) == ("error_rate", "absolute_difference", "sequential")
    ]
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0 < found.upper


def test_shares_with_few_events_have_means_and_no_comparison() -> None:
    variants = two(error=0.0005)
    rows = rows_of(variants, (StepBuckets(5_000, variants[0].table(), variants[1].table()),))
    found = {(row.statistic, row.variant, row.method): row for row in rows if row.metric == "error_rate"}
    assert found["mean", "next", "sequential"].point is not None
    assert "5 needed" in (found["absolute_difference", "next", "sequential"].insufficient or "")


def test_the_exact_differences_point_is_an_estimate_and_not_the_intervals_middle() -> None:
    """With a small share the interval is far from symmetric: its middle is no estimate."""
    control, treatment = two(seed=8, error=0.01, units=2_000)
    rows = rows_of([control, treatment], ())
    (found,) = [
        row for row in rows if (row.statistic, row.method) == ("absolute_difference", "exact_sequential")
    ]
    assert found.point is not None
    assert found.lower is not None
    assert found.upper is not None
    rate = [float(one.error[one.first].mean()) for one in (treatment, control)]
    # Both have 2,000 first requests at a share of a half: weighting by it comes to the plain difference.
    assert found.point == pytest.approx(rate[0] - rate[1])
    assert found.lower <= found.point <= found.upper


@pytest.mark.parametrize("units", [0, 20])
def test_with_little_or_nothing_every_row_has_a_number_or_a_reason(units: int) -> None:
    variants = two(units=units)
    for row in rows_of(variants, ()):
        assert (row.point is None) == (row.insufficient is not None)
        assert all(math.isfinite(value) for value in msgspec.structs.astuple(row) if isinstance(value, float))
