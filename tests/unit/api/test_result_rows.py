"""Rows in long form, read by variant and by comparison."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.api.result_rows import (
    Reading,
    comparisons,
    is_significant,
    sample_ratio,
    still_needed,
    variant_results,
)
from services.api.result_views import MetricRole
from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.canary import CanaryDefinition
from services.domain.experiment import Experiment
from services.domain.metric import BUILT_IN
from services.domain.results import ResultRow
from services.storage.phase_totals import VariantTotals
from services.storage.phases import Phase, PhaseSplit

STARTED = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEST = ABTestDefinition(
    variants=(WeightedVariant("old", 0.5), WeightedVariant("new", 0.5)),
    goals=("satisfaction_rate",),
    secondary=("cost",),
    metrics=tuple(BUILT_IN[key] for key in ("satisfaction_rate", "cost", "error_rate")),
    planned_duration_minutes=60,
)


def experiment(definition: Any = TEST) -> Experiment:
    return Experiment(
        experiment_id=UUID(int=1),
        key="e",
        route_key="chat",
        kind="ab_test" if definition is TEST else "canary",
        status="running",
        conclusion=None,
        definition=definition,
        control="old",
        phase=1,
        created_at=STARTED,
    )


def reading(*rows: ResultRow, definition: Any = TEST, now: bool = True) -> Reading:
    split = PhaseSplit(("old", "new"), (5_000, 5_000), 10_000) if definition is TEST else None
    return Reading(
        experiment=experiment(definition),
        phase=Phase(1, split, STARTED, None),
        rows=rows,
        totals={0: VariantTotals(units=10, requests=40, errors=2, completed=38, latency_us=19_000_000)}
        if now
        else None,
    )


def row(statistic: str, metric: str = "satisfaction_rate", **changes: Any) -> ResultRow:
    fixed: dict[str, Any] = {
        "variant": "new",
        "comparison_to": "old",
        "method": "sequential",
        "always_valid": True,
    }
    return ResultRow(metric=metric, statistic=statistic, **fixed | changes)


def test_a_variant_has_its_totals_and_every_metric() -> None:
    mean = row("mean", variant="old", comparison_to="", point=0.7, lower=0.6, upper=0.8, level=0.95, n=9)
    control, treatment = variant_results(reading(mean))

    assert (control.units, control.requests, control.error_rate) == (10, 40, 0.05)
    assert control.latency_mean_seconds == 0.5
    assert control.satisfaction_rate == 0.7
    (figure,) = control.metrics
    assert (figure.role, figure.unit, figure.may_be_peeked_at) == ("goal", "fraction", True)
    assert (treatment.role, treatment.units, treatment.error_rate) == ("treatment", 0, None)


def test_of_the_past_only_what_the_rows_say_is_known() -> None:
    of_control = {"variant": "old", "comparison_to": ""}
    recorded = [
        row("sample_ratio", "", **of_control, point=0.5, n=7),
        row("mean", "error_rate", **of_control, point=0.25, n=40),
        row("mean", "latency_mean", **of_control, point=1.5, n=30),
    ]
    control, treatment = variant_results(reading(*recorded, now=False))
    assert (control.units, control.requests, control.error_rate) == (7, 40, 0.25)
    assert control.latency_mean_seconds == 1.5
    assert (treatment.units, treatment.requests, treatment.latency_mean_seconds) == (None, None, None)


def test_of_a_decision_its_own_counts_are_known() -> None:
    """The naive way that fails: sums lag behind counts, and a decision seems to be made on 0 requests."""
    nothing = row("mean", "error_rate", variant="new", comparison_to="", insufficient="no requests yet")
    given = replace(
        reading(nothing, now=False), decided_on={"new": {"requests": 40, "errors": 30, "units": 9}}
    )
    control, treatment = variant_results(given)
    assert (treatment.units, treatment.requests, treatment.error_rate) == (9, 40, 0.75)
    assert (control.requests, control.error_rate) == (None, None)


@pytest.mark.parametrize(
    ("changes", "significant"),
    [
        ({"p_value": 0.04}, True),
        ({"p_value": 0.06}, False),
        ({"p_value": 0.04, "adjusted_p_value": 0.08}, False),
        ({"lower": 0.01, "upper": 0.2}, True),
        ({"lower": -0.01, "upper": 0.2}, False),
        ({}, None),
    ],
)
def test_significance(changes: dict[str, Any], significant: bool | None) -> None:
    assert is_significant(row("absolute_difference", **changes), 0.05, "shown") is significant


@pytest.mark.parametrize("role", ["goal", "secondary"])
@pytest.mark.parametrize(
    ("changes", "significant"),
    [
        ({"p_value": 0.04}, None),
        ({"p_value": 0.01, "adjusted_p_value": 0.04}, True),
        ({"p_value": 0.04, "adjusted_p_value": 0.08, "lower": 0.01, "upper": 0.2}, False),
        ({"lower": 0.01, "upper": 0.2, "method": "bayesian"}, None),
    ],
)
def test_what_is_read_together_is_significant_by_a_corrected_p_or_not_at_all(
    changes: dict[str, Any], significant: bool | None, role: MetricRole
) -> None:
    assert is_significant(row("absolute_difference", **changes), 0.05, role) is significant


def test_a_chance_is_no_test() -> None:
    assert is_significant(row("chance_to_beat_control", point=0.99), 0.05, "shown") is None


FIXED = row(
    "absolute_difference",
    method="fixed_horizon",
    always_valid=False,
    point=0.1,
    lower=0.02,
    upper=0.18,
    p_value=0.005,
    adjusted_p_value=0.01,
    n=100,
)
END = STARTED + timedelta(minutes=60)


@pytest.mark.parametrize(
    ("as_of", "significant"), [(END - timedelta(seconds=1), None), (END, True), (None, None)]
)
def test_what_may_not_be_peeked_at_says_nothing_before_it_can_be_read(
    as_of: datetime | None, significant: bool | None
) -> None:
    (found,) = comparisons(replace(reading(FIXED), as_of=as_of))

    assert not found.may_be_peeked_at
    assert found.readable_from == END
    assert (found.significant, found.better, found.point) == (significant, "higher", 0.1)


def test_a_sample_that_was_never_completed_is_not_read() -> None:
    """The naive way that fails: what was stopped after ten minutes is to be looked at once, in an hour."""
    always = row("absolute_difference", point=0.1, adjusted_p_value=0.01)
    stopped = Phase(1, None, STARTED, STARTED + timedelta(minutes=10))
    given = replace(reading(FIXED, always), phase=stopped, as_of=END + timedelta(hours=1))
    once, peeked = comparisons(given)

    assert (once.significant, once.readable_from, once.n) == (None, None, 100)
    assert (once.point, once.lower, once.upper, once.p_value, once.adjusted_p_value) == (None,) * 5
    assert once.insufficient == (
        "the phase ended on 2026-11-20 12:10 UTC, before its planned end on 2026-11-20 13:00 UTC: "
        "this was for a sample that was never completed, and is not to be read"
    )
    assert (peeked.significant, peeked.insufficient) == (True, None)


def test_a_sample_that_was_completed_is_read_after_the_end_too() -> None:
    ended = Phase(1, None, STARTED, END)
    (found,) = comparisons(replace(reading(FIXED), phase=ended, as_of=END + timedelta(hours=1)))
    assert (found.significant, found.readable_from, found.insufficient) == (True, END, None)


def test_roles() -> None:
    rows = [row("absolute_difference", metric) for metric in ("satisfaction_rate", "cost", "error_rate")]
    rows.append(row("absolute_difference", "latency_mean"))
    roles = [one.role for one in comparisons(reading(*rows))]
    assert roles == ["goal", "secondary", "guardrail", "shown"]


@pytest.mark.parametrize(
    ("statistic", "p_value", "significant"),
    [
        ("e_value_worse", 0.009, True),
        ("e_value_worse", 0.02, False),
        ("e_value_not_worse", 0.02, True),
        ("e_value_not_worse", 0.03, False),
    ],
)
def test_a_canarys_tests_have_budgets_of_their_own(statistic: str, p_value: float, significant: bool) -> None:
    canary = CanaryDefinition(treatment="new")
    (found,) = comparisons(
        reading(row(statistic, "error_rate", point=50.0, p_value=p_value), definition=canary)
    )
    assert (found.role, found.significant) == ("guardrail", significant)


def test_what_is_still_needed_in_units_and_time() -> None:
    (found,) = still_needed(
        reading(row("units_needed", point=1_000.2, n=400), row("minutes_needed", point=90.0))
    )

    assert (found.units, found.units_needed, found.units_missing) == (400, 1_001, 601)
    assert found.minutes_missing == 90.0
    assert "after 601 more units of both, some 90 minutes from now" in found.sentence


def test_what_nobody_knows_says_why() -> None:
    (found,) = still_needed(reading(row("units_needed", insufficient="the effect is 0", n=400)))
    assert (found.units_needed, found.units_missing, found.sentence) == (None, None, "the effect is 0")


@pytest.mark.parametrize(("p_value", "flagged"), [(0.5, False), (0.0001, True), (None, None)])
def test_a_sample_ratio_that_cannot_be_is_flagged(p_value: float | None, flagged: bool | None) -> None:
    rows = [
        row("sample_ratio", "", variant=key, comparison_to="", point=share, n=n, p_value=p_value)
        for key, share, n in (("old", 0.6, 60), ("new", 0.4, 40))
    ]
    found = sample_ratio(reading(*rows))

    assert found is not None
    assert found.flagged is flagged
    assert (found.variants["new"].share, found.variants["new"].assigned_share) == (0.4, 0.5)
    assert ("can be trusted" in found.sentence) is bool(flagged)


def test_no_sample_ratio_without_rows() -> None:
    assert sample_ratio(reading()) is None


def test_nothing_is_missing_to_what_is_over() -> None:
    needed = row("units_needed", point=300.0, n=100)
    running = reading(needed)
    assert len(still_needed(running)) == 1
    assert still_needed(replace(running, experiment=replace(running.experiment, status="stopped"))) == []
    assert still_needed(replace(running, phase=Phase(1, None, STARTED, STARTED))) == []
