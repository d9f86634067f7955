"""From rows in long form to results that read by variant and by comparison. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.api.planning import duration
from services.api.result_views import (
    ComparisonResult,
    Figure,
    MetricRole,
    SampleRatioResult,
    StillNeeded,
    VariantResult,
    VariantUnits,
)
from services.domain.ab_test import ABTestDefinition
from services.domain.assignment import BASIS_POINTS
from services.domain.canary import CanaryDefinition, SequentialPolicy
from services.domain.experiment import BlueGreenDefinition, Definition, Experiment
from services.domain.metric import BUILT_IN, Metric
from services.domain.results import FIXED_HORIZON, ResultRow
from services.storage.phase_totals import VariantTotals
from services.storage.phases import Phase

OF_ONE_VARIANT = ("mean", "quantile")
NOT_WORSE = "e_value_not_worse"
"""What the promotion of a canary waits for; it has half of the budget, beside a test on all requests."""
SAMPLE_RATIO = "sample_ratio"
STILL_NEEDED = ("units_needed", "minutes_needed")
CORRECTED: frozenset[MetricRole] = frozenset({"goal", "secondary"})
DIFFERENCES = ("absolute_difference", "relative_difference")
_MINUTE = "%Y-%m-%d %H:%M %Z"
MISMATCH_P = 0.001
"""At or below it, the units' parts are not what they were assigned."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be shown. Without ``totals`` what the rows say is known, as they were recorded."""

    experiment: Experiment
    phase: Phase | None
    rows: Sequence[ResultRow]
    totals: Mapping[int, VariantTotals] | None
    as_of: datetime | None = None
    """Up to when the rows hold what was counted."""
    decided_on: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What was counted of each variant by the decision that the rows were recorded at."""

    @property
    def variant_keys(self) -> tuple[str, ...]:
        """The variants of the phase, the control first: a phase may have had another control than now."""
        split = self.phase.split if self.phase else None
        return self.experiment.variant_keys if split is None else split.variants

    def metric(self, key: str) -> Metric | None:
        """Return the definition of a metric, where it has one."""
        definition = self.experiment.definition
        own = definition.metrics if isinstance(definition, ABTestDefinition) else ()
        return next((metric for metric in own if metric.key == key), BUILT_IN.get(key))

    def role(self, key: str) -> MetricRole:
        """Return what the metric is for in this experiment."""
        definition = self.experiment.definition
        if isinstance(definition, ABTestDefinition) and key in definition.goals:
            return "goal"
        if isinstance(definition, ABTestDefinition) and key in definition.secondary:
            return "secondary"
        return "guardrail" if key in _guardrails(definition) else "shown"

    @property
    def is_over(self) -> bool:
        """Whether the phase ended, or the experiment."""
        ended = self.phase is not None and self.phase.ended_at is not None
        return ended or self.experiment.status == "stopped"

    @property
    def planned_end(self) -> datetime | None:
        """When results that may be looked at once may be."""
        definition = self.experiment.definition
        if self.phase is None or not isinstance(definition, ABTestDefinition):
            return None
        return self.phase.started_at + timedelta(minutes=definition.planned_duration_minutes)

    @property
    def cut_short(self) -> str:
        """A sentence where the phase ended before its planned end, so that nothing may be looked at once."""
        end, planned = None if self.phase is None else self.phase.ended_at, self.planned_end
        if end is None or planned is None or end >= planned:
            return ""
        return (
            f"the phase ended on {end:{_MINUTE}}, before its planned end on {planned:{_MINUTE}}: "
            "this was for a sample that was never completed, and is not to be read"
        )

    @property
    def is_complete(self) -> bool:
        """Whether the rows have the sample that was planned, where one was."""
        planned = self.planned_end
        return planned is None or (self.as_of is not None and self.as_of >= planned)


def _guardrails(definition: Definition) -> frozenset[str]:
    if isinstance(definition, ABTestDefinition):
        return frozenset(guard.metric for guard in definition.guardrails)
    policy = _policy(definition)
    return frozenset(guard.metric for guard in policy.guardrails) if policy else frozenset()


def _policy(definition: Definition) -> SequentialPolicy | None:
    """Return the policy of a canary or a deployment that is decided by e-values."""
    judged = CanaryDefinition | BlueGreenDefinition
    if isinstance(definition, judged) and isinstance(definition.policy, SequentialPolicy):
        return definition.policy
    return None


def variant_results(reading: Reading) -> list[VariantResult]:
    """Return what each variant did."""
    return [_variant_result(reading, index, key) for index, key in enumerate(reading.variant_keys)]


def _variant_result(reading: Reading, index: int, key: str) -> VariantResult:
    rows = [row for row in reading.rows if row.variant == key and row.statistic in OF_ONE_VARIANT]
    means = {row.metric: row for row in rows if row.statistic == "mean"}
    satisfied = means.get("satisfaction_rate")
    return VariantResult(
        key=key,
        role="treatment" if index else "control",
        **(_recorded(reading, key, means) if reading.totals is None else _counted(reading.totals, index)),
        satisfaction_rate=satisfied.point if satisfied else None,
        metrics=[_figure(reading, row) for row in rows],
    )


def _counted(totals: Mapping[int, VariantTotals], index: int) -> dict[str, Any]:
    own = totals.get(index, VariantTotals())
    return {
        "units": own.units,
        "requests": own.requests,
        "error_rate": own.error_rate,
        "latency_mean_seconds": own.latency_mean_seconds,
    }


def _recorded(reading: Reading, key: str, means: Mapping[str, ResultRow]) -> dict[str, Any]:
    """What the rows tell of the totals, or the decision: every request has an error, of 0 or 1."""
    units = (row.n for row in reading.rows if (row.variant, row.statistic) == (key, SAMPLE_RATIO))
    errors, latency = means.get("error_rate"), means.get("latency_mean")
    counted = reading.decided_on.get(key, {})
    requests = counted.get("requests", errors.n if errors else None)
    error_rate = errors.point if errors else None
    if counted.get("requests"):
        error_rate = counted["errors"] / counted["requests"]
    return {
        "units": counted.get("units", next(units, None)),
        "requests": requests,
        "error_rate": error_rate,
        "latency_mean_seconds": latency.point if latency else None,
    }


def _figure(reading: Reading, row: ResultRow) -> Figure:
    metric = reading.metric(row.metric)
    return Figure(
        metric=row.metric,
        role=reading.role(row.metric),
        statistic=row.statistic,
        method=row.method,
        value=row.point,
        lower=row.lower,
        upper=row.upper,
        level=row.level,
        n=row.n,
        unit=metric.unit if metric else "",
        may_be_peeked_at=row.always_valid,
        insufficient=row.insufficient,
    )


def comparisons(reading: Reading) -> list[ComparisonResult]:
    """Return how the treatments compare with the control, by every method."""
    compared = (row for row in reading.rows if row.comparison_to and row.statistic not in STILL_NEEDED)
    return [_comparison(reading, row) for row in compared]


def _comparison(reading: Reading, row: ResultRow) -> ComparisonResult:
    is_of_the_end, metric = row.method.startswith(FIXED_HORIZON), reading.metric(row.metric)
    if is_of_the_end and reading.cut_short and row.insufficient is None:
        row = _withheld(row, reading.cut_short)
    may_be_read = reading.is_complete or not is_of_the_end
    significant = is_significant(row, _alpha(reading, row), reading.role(row.metric))
    return ComparisonResult(
        metric=row.metric,
        role=reading.role(row.metric),
        variant=row.variant,
        comparison_to=row.comparison_to,
        statistic=row.statistic,
        method=row.method,
        point=row.point,
        lower=row.lower,
        upper=row.upper,
        level=row.level,
        p_value=row.p_value,
        adjusted_p_value=row.adjusted_p_value,
        significant=significant if may_be_read else None,
        better=metric.better if metric else None,
        n=row.n,
        may_be_peeked_at=row.always_valid,
        readable_from=reading.planned_end if is_of_the_end and not reading.cut_short else None,
        exploratory=row.exploratory,
        insufficient=row.insufficient,
    )


def _withheld(row: ResultRow, reason: str) -> ResultRow:
    return msgspec.structs.replace(
        row,
        point=None,
        lower=None,
        upper=None,
        p_value=None,
        adjusted_p_value=None,
        insufficient=reason,
    )


def is_significant(row: ResultRow, alpha: float, role: MetricRole) -> bool | None:
    """Say whether the row speaks against "no difference"; None where it is no such statement.

    Goals are read together, and secondary metrics are: of theirs only a corrected p-value says so.
    """
    if row.adjusted_p_value is not None:
        return row.adjusted_p_value <= alpha
    if role in CORRECTED:
        return None
    if row.p_value is not None:
        return row.p_value <= alpha
    if row.statistic not in DIFFERENCES or row.lower is None or row.upper is None:
        return None
    return not row.lower <= 0.0 <= row.upper


def _alpha(reading: Reading, row: ResultRow) -> float:
    """Return the error budget of a row's test."""
    definition = reading.experiment.definition
    if row.level is not None:
        return 1.0 - row.level
    if isinstance(definition, ABTestDefinition):
        return definition.alpha
    policy = _policy(definition)
    if policy is None:
        return 0.0
    if row.statistic == NOT_WORSE:
        return policy.alpha_promote / 2
    return policy.alpha_rollback / len(policy.guardrails) / (2 if row.metric == "latency" else 1)


def still_needed(reading: Reading) -> list[StillNeeded]:
    """Return what each comparison takes to be decided; nothing of what is over, which gets nothing more."""
    if reading.is_over:
        return []
    minutes = {
        (row.metric, row.variant): row.point for row in reading.rows if row.statistic == "minutes_needed"
    }
    return [
        _still_needed(row, minutes.get((row.metric, row.variant)))
        for row in reading.rows
        if row.statistic == "units_needed"
    ]


def _still_needed(row: ResultRow, minutes: float | None) -> StillNeeded:
    needed = None if row.point is None else math.ceil(row.point)
    missing = None if needed is None else max(needed - row.n, 0)
    return StillNeeded(
        metric=row.metric,
        variant=row.variant,
        units=row.n,
        units_needed=needed,
        units_missing=missing,
        minutes_missing=minutes,
        sentence=row.insufficient or _needed_sentence(row, missing or 0, minutes),
    )


def _needed_sentence(row: ResultRow, missing: int, minutes: float | None) -> str:
    if missing == 0:
        return f"{row.metric} of {row.variant} differs from {row.comparison_to}: nothing is missing"
    took = "" if minutes is None else f", some {duration(minutes)} from now"
    return (
        f"if {row.metric} of {row.variant} goes on as it is, its difference shows after {missing:,} more "
        f"units of both{took}"
    )


def sample_ratio(reading: Reading) -> SampleRatioResult | None:
    """Return whether the units' parts are what they were assigned; None where they are not tested."""
    rows = {row.variant: row for row in reading.rows if row.statistic == SAMPLE_RATIO}
    if not rows:
        return None
    assigned = _assigned(reading)
    p_values = [row.p_value for row in rows.values() if row.p_value is not None]
    p_value = min(p_values, default=None)
    reason = next((row.insufficient for row in rows.values() if row.insufficient), None)
    return SampleRatioResult(
        flagged=None if p_value is None else p_value <= MISMATCH_P,
        p_value=p_value,
        variants={
            key: VariantUnits(units=row.n, share=row.point, assigned_share=assigned.get(key))
            for key, row in rows.items()
        },
        sentence=reason or _ratio_sentence(p_value),
    )


def _assigned(reading: Reading) -> dict[str, float]:
    split = reading.phase.split if reading.phase else None
    if split is None:
        return {}
    return {key: bp / BASIS_POINTS for key, bp in zip(split.variants, split.weights_bp, strict=True)}


def _ratio_sentence(p_value: float | None) -> str:
    if p_value is None:
        return "not tested yet"
    if p_value <= MISMATCH_P:
        return (
            "the variants' units are not in the proportion they were assigned in: something between "
            "assignment and counting treats variants differently, and no other result here can be trusted"
        )
    return "the variants' units are in the proportion they were assigned in"
