"""From counts to at most one decision: counts, statistics, verdicts, the policy's rules.

Everything here is a pure function of ``EvaluationInputs``, which are stored with each decision: whoever has
the inputs can recompute it to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from analytics.columns import TickCounts
from analytics.difference import difference_interval
from analytics.evidence import Evidence, promotion_evidence, rollback_evidence
from analytics.results import Insufficient, Interval
from analytics.threshold import Outage, WindowCounts, kill_switch, windowed_rule
from services.domain.assignment import BASIS_POINTS
from services.domain.events import Role
from services.domain.experiment import (
    CanaryDefinition,
    Guardrail,
    GuardrailMetric,
    SequentialPolicy,
    ThresholdPolicy,
)
from services.domain.policy import Act, Health, Judgement, Situation, Verdict, judge

METHOD = "canary/1"
"""Changes whenever the same counts could lead to another decision."""

DOUBT = 10.0
"""Evidence from which a guardrail is in doubt: the ramp waits, as E falls again where nothing is wrong."""


class CountRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of ``experiment_counts``: what one role did in one minute at one treatment share."""

    tick: int
    treatment_share_bp: int
    role: Role
    requests: int
    errors: int
    first_errors: int
    content_filters: int
    first_content_filters: int
    first_requests: int
    first_request_errors: int


class EvaluationInputs(msgspec.Struct, frozen=True):
    """Everything an evaluation depends on. Ticks are minutes since the epoch, in the log's time.

    ``window_verdict`` is the windowed rule's last verdict while its next look is not due.
    """

    definition: CanaryDefinition
    counts: tuple[CountRow, ...]
    step: int
    share_bp: int
    first_tick: int
    now_tick: int
    minutes_running: float
    seconds_in_step: float
    evidence_age_seconds: float
    window_verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the counts say, and what follows from it."""

    inputs: EvaluationInputs
    situation: Situation
    judgement: Judgement

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The guardrails' verdicts and the promotion's, in this order."""
        return (*self.situation.guardrails, self.situation.promotion)

    @property
    def figures(self) -> dict[str, float]:
        """The figures a decision rests on: those of the verdict that speaks loudest."""
        if isinstance(self.judgement, Act) and self.judgement.action == "promote":
            return self.situation.promotion.figures
        return max(self.situation.guardrails, key=lambda v: v.figures.get("e_value", 0.0)).figures

    def evidence(self) -> dict[str, Any]:
        """What a decision rests on, as JSON: the loudest figures by name, and everything that was judged."""
        return {
            **self.figures,
            "judgement": {"kind": type(self.judgement).__name__.lower(), **asdict(self.judgement)},
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "totals": {role.label: _totals(self.inputs.counts, role) for role in Role},
            "share": self.inputs.share_bp / BASIS_POINTS,
            "step": self.inputs.step,
            "units_in_step": self.situation.units_in_step,
            "evidence_age_seconds": self.inputs.evidence_age_seconds,
            "method": METHOD,
        }

    def body(self) -> dict[str, Any]:
        """The evidence and the interval of the difference, which decides nothing and takes its time."""
        interval = _interval(self.inputs)
        shown = {"insufficient": interval.reason} if isinstance(interval, Insufficient) else asdict(interval)
        return {**self.evidence(), "error_rate_difference": shown}

    def inputs_body(self) -> dict[str, Any]:
        """The inputs as JSON, to be stored with a decision and read back by ``inputs_from``."""
        body: dict[str, Any] = msgspec.to_builtins(self.inputs)
        return body


def inputs_from(body: dict[str, Any]) -> EvaluationInputs:
    """Read stored inputs back."""
    return msgspec.convert(body, EvaluationInputs)


def evaluate(inputs: EvaluationInputs) -> Evaluation:
    """Judge an experiment on its counts."""
    guardrails, promotion = _verdicts(inputs)
    health, health_sentence = _health(inputs)
    situation = Situation(
        plan=inputs.definition.plan,
        step=inputs.step,
        share_bp=inputs.share_bp,
        guardrails=guardrails,
        promotion=promotion,
        health=health,
        health_sentence=health_sentence,
        units_in_step=_units_in_step(inputs),
        seconds_in_step=inputs.seconds_in_step,
        minutes_running=inputs.minutes_running,
        evidence_age_seconds=inputs.evidence_age_seconds,
    )
    return Evaluation(inputs, situation, judge(situation))


def _verdicts(inputs: EvaluationInputs) -> tuple[tuple[Verdict, ...], Verdict]:
    policy = inputs.definition.policy
    if isinstance(policy, ThresholdPolicy):
        verdict = inputs.window_verdict or window_verdict(inputs, policy)
        return (verdict,), verdict
    guardrails = tuple(_guardrail_verdict(inputs, policy, guardrail) for guardrail in policy.guardrails)
    return guardrails, _promotion_verdict(inputs, policy)


# --- the sequential policy -------------------------------------------------------------------------------


def _guardrail_verdict(inputs: EvaluationInputs, policy: SequentialPolicy, guardrail: Guardrail) -> Verdict:
    metric = guardrail.metric
    if not any(row.requests for row in inputs.counts if row.role is Role.TREATMENT):
        return Verdict(metric, "no_data", f"{metric}: no request of the treatment is counted yet")
    evidence = rollback_evidence(
        rollback_counts(inputs.counts, metric),
        first_tick=inputs.first_tick,
        planned_ticks=inputs.definition.plan.planned_duration_minutes,
        alpha=policy.alpha_rollback / len(policy.guardrails),
        margin=guardrail.margin,
    )
    if isinstance(evidence, Insufficient):
        return Verdict(metric, "no_data", f"{metric}: {evidence.reason}")
    figures = _figures(evidence, inputs.counts, metric)
    seen = _seen(figures)
    if evidence.crossed:
        return Verdict(
            metric, "fail", f"{metric} of the treatment is worse: {seen}; {_strength(evidence)}", figures
        )
    if evidence.e_value >= DOUBT:
        return Verdict(
            metric,
            "inconclusive",
            f"{metric} of the treatment looks worse: {seen}; {_strength(evidence)}",
            figures,
        )
    return Verdict(
        metric,
        "pass",
        f"{metric} of the treatment is not shown to be worse: {seen}; {_strength(evidence)}",
        figures,
    )


def _promotion_verdict(inputs: EvaluationInputs, policy: SequentialPolicy) -> Verdict:
    # Half of the budget: its partner, the cluster-robust test on all requests, takes the other half.
    evidence = promotion_evidence(
        promotion_counts(inputs.counts), alpha=policy.alpha_promote / 2, margin=policy.margin_promote
    )
    if isinstance(evidence, Insufficient):
        return Verdict("not_worse", "no_data", f"promotion: {evidence.reason}")
    figures = _figures(evidence, inputs.counts, "error_rate")
    by = f"by {policy.margin_promote:.2%} or more"
    if evidence.crossed:
        sentence = f"the treatment is not worse {by}: {_seen(figures)}; {_strength(evidence)}"
        return Verdict("not_worse", "pass", sentence, figures)
    sentence = f"not yet shown that the treatment is not worse {by}: {_strength(evidence)}"
    return Verdict("not_worse", "inconclusive", sentence, figures)


def rollback_counts(counts: Iterable[CountRow], metric: GuardrailMetric) -> list[TickCounts]:
    """What rollback tests: each unit's first event of the metric, and every request without the event.

    Later events of the same unit are shown and never tested: a unit that keeps failing is one observation.
    """
    if metric == "error_rate":
        return _tick_counts(counts, lambda row: (row.first_errors, row.requests - row.errors))
    return _tick_counts(counts, lambda row: (row.first_content_filters, row.requests - row.content_filters))


def promotion_counts(counts: Iterable[CountRow]) -> list[TickCounts]:
    """What promotion tests: each unit's first request of the phase, and nothing else."""
    return _tick_counts(
        counts, lambda row: (row.first_request_errors, row.first_requests - row.first_request_errors)
    )


def _tick_counts(
    counts: Iterable[CountRow], tested: Callable[[CountRow], tuple[int, int]]
) -> list[TickCounts]:
    rows = []
    for row in counts:
        events, others = tested(row)
        rows.append(
            TickCounts(
                tick=row.tick,
                share=row.treatment_share_bp / BASIS_POINTS,
                treatment_errors=events if row.role is Role.TREATMENT else 0,
                control_errors=events if row.role is Role.CONTROL else 0,
                others=others,
            )
        )
    return rows


def _figures(evidence: Evidence, counts: Sequence[CountRow], metric: GuardrailMetric) -> dict[str, float]:
    figures: dict[str, float] = {
        "e_value": evidence.e_value,
        "log_e_value": evidence.log_e_value,
        "threshold": evidence.threshold,
        "p_value": evidence.p_value,
        "tested_treatment_events": evidence.treatment_errors,
        "tested_control_events": evidence.control_errors,
        "tested_others": evidence.others,
    }
    for role in Role:
        totals = _totals(counts, role)
        events = totals["errors" if metric == "error_rate" else "content_filters"]
        figures[f"{role.label}_requests"] = totals["requests"]
        if totals["requests"]:
            figures[f"{role.label}_rate"] = events / totals["requests"]
    return figures


def _seen(figures: dict[str, float]) -> str:
    def share(role: str) -> str:
        requests = int(figures[f"{role}_requests"])
        return f"{figures[f'{role}_rate']:.2%} of {requests:,}" if requests else "nothing"

    return f"{share('treatment')} requests against {share('control')}"


def _strength(evidence: Evidence) -> str:
    return f"e = {evidence.e_value:.3g}, decides at {evidence.threshold:.3g}"


# --- the threshold policy --------------------------------------------------------------------------------


def window_verdict(inputs: EvaluationInputs, policy: ThresholdPolicy) -> Verdict:
    """The windowed rule's verdict on the last ``window_minutes``."""
    treatment, control = (
        _window(inputs, role, policy.window_minutes) for role in (Role.TREATMENT, Role.CONTROL)
    )
    result = windowed_rule(treatment, control, margin=policy.margin, minimum_requests=policy.minimum_requests)
    if isinstance(result, Insufficient):
        return Verdict("error_rate", "no_data", f"threshold: {result.reason}")
    figures = {
        "treatment_rate": result.treatment_rate,
        "control_rate": result.control_rate,
        "margin": result.margin,
        "treatment_requests": treatment.requests,
        "control_requests": control.requests,
    }
    seen = f"{result.treatment_rate:.2%} against {result.control_rate:.2%} over {policy.window_minutes} min"
    if result.exceeded:
        return Verdict(
            "error_rate", "fail", f"error rate above control + {result.margin:.2%}: {seen}", figures
        )
    return Verdict("error_rate", "pass", f"error rate within control + {result.margin:.2%}: {seen}", figures)


# --- what both read --------------------------------------------------------------------------------------


def _window(inputs: EvaluationInputs, role: Role, minutes: int) -> WindowCounts:
    """The last ``minutes`` closed minutes and the open one."""
    rows = [
        row
        for row in inputs.counts
        if row.role is role and inputs.now_tick - minutes <= row.tick <= inputs.now_tick
    ]
    return WindowCounts(sum(row.requests for row in rows), sum(row.errors for row in rows))


def _health(inputs: EvaluationInputs) -> tuple[Health, str]:
    switch = inputs.definition.kill_switch
    reading = kill_switch(
        _window(inputs, Role.TREATMENT, 1),
        _window(inputs, Role.CONTROL, 1),
        rate=switch.error_rate,
        minimum_requests=switch.minimum_requests,
    )
    if isinstance(reading, Insufficient) or reading.outage is Outage.NEITHER:
        return "fine", ""
    failing = f"{reading.treatment_rate:.0%} of the treatment's requests failed over the last minute"
    if reading.outage is Outage.TREATMENT_DOWN:
        return "treatment_down", f"{failing}, and the control's did not"
    return "both_down", f"{failing}, and so did the control's: an outage of both, so the ramp is frozen"


def _units_in_step(inputs: EvaluationInputs) -> int:
    """Units the treatment served for the first time at the share now in force."""
    return sum(
        row.first_requests
        for row in inputs.counts
        if row.role is Role.TREATMENT and row.treatment_share_bp == inputs.share_bp
    )


def _totals(counts: Iterable[CountRow], role: Role) -> dict[str, int]:
    totals = {"requests": 0, "errors": 0, "content_filters": 0, "units": 0}
    for row in counts:
        if row.role is role:
            totals["requests"] += row.requests
            totals["errors"] += row.errors
            totals["content_filters"] += row.content_filters
            totals["units"] += row.first_requests
    return totals


def _interval(inputs: EvaluationInputs) -> Interval | Insufficient:
    return difference_interval(promotion_counts(inputs.counts), alpha=0.05)
