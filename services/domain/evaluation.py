"""A canary, from counts to at most one decision: counts, statistics, verdicts, the policy's rules.

Everything here is a pure function of ``EvaluationInputs``, which are stored with each decision: whoever has
the inputs can recompute it to the bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from analytics.columns import Columns
from analytics.difference import difference_interval
from analytics.results import Insufficient, Interval
from analytics.threshold import WindowCounts, windowed_rule
from services.domain.assignment import BASIS_POINTS
from services.domain.canary import CanaryDefinition, ThresholdPolicy
from services.domain.canary_tests import StepBuckets, guardrail_verdict, promotion_verdict
from services.domain.counts import Count, CountTable, event_columns, first_requests
from services.domain.events import Role
from services.domain.experiment import Stage
from services.domain.memory import Memory
from services.domain.outage import outage, window
from services.domain.packing import pack, unpack
from services.domain.policy import Act, Judgement, Situation, Verdict, judge, restrained
from services.domain.watch_policy import RULES

METHOD = "canary/3"
"""Changes whenever the same counts could lead to another decision.

``canary/1`` knew no sums by analysis bucket. ``canary/2`` kept a fifth of the capital in reserve instead of
an eighth, and called a canary slower before the variances of its buckets were known.
"""


class EvaluationInputs(msgspec.Struct, frozen=True):
    """Everything an evaluation depends on. Ticks are minutes since the epoch, in the log's time.

    ``window_verdict`` is the windowed rule's last verdict while its next look is not due. ``buckets`` are
    the sums by analysis bucket, for each share the treatment had. ``approved``: a person agreed to what comes
    next. ``freeze`` is a sentence where the route is frozen.
    """

    definition: CanaryDefinition
    counts: CountTable
    step: int
    share_bp: int
    first_tick: int
    now_tick: int
    minutes_running: float
    seconds_in_step: float
    evidence_age_seconds: float
    window_verdict: Verdict | None = None
    buckets: tuple[StepBuckets, ...] = ()
    stage: Stage = "ramp"
    approved: bool = False
    freeze: str = ""

    @property
    def planned_minutes(self) -> int:
        """How long the phase is to last: the horizon its evidence re-arms over."""
        plan = self.definition.plan
        return plan.watch_minutes if self.stage == "watch" else plan.planned_duration_minutes


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
            "totals": {role.label: totals(self.inputs.counts, role) for role in Role},
            "share": self.inputs.share_bp / BASIS_POINTS,
            "step": self.inputs.step,
            "stage": self.inputs.stage,
            "units_in_step": self.situation.units_in_step,
            "evidence_age_seconds": self.inputs.evidence_age_seconds,
            "method": METHOD,
        }

    def body(self) -> dict[str, Any]:
        """The evidence and the interval of the difference, which decides nothing and takes its time."""
        interval = error_rate_difference(self.inputs.counts)
        shown = {"insufficient": interval.reason} if isinstance(interval, Insufficient) else asdict(interval)
        return {**self.evidence(), "error_rate_difference": shown}

    def inputs_body(self) -> dict[str, Any]:
        """The inputs as JSON, to be stored with a decision and read back by ``inputs_from``."""
        return pack(self.inputs)


def inputs_from(body: dict[str, Any]) -> EvaluationInputs:
    """Read stored inputs back."""
    return unpack(body, EvaluationInputs)


def evaluate(inputs: EvaluationInputs, memory: Memory | None = None) -> Evaluation:
    """Judge a canary on its counts. The memory of earlier evaluations saves time and changes nothing."""
    guardrails, promotion = _verdicts(inputs, Memory() if memory is None else memory)
    switch = inputs.definition.kill_switch
    treatment, control = (_window(inputs, role, 1) for role in (Role.TREATMENT, Role.CONTROL))
    health, health_sentence = outage(treatment, control, switch, name="the treatment")
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
        approved=inputs.approved,
    )
    judgement = judge(situation, RULES[inputs.stage])
    return Evaluation(inputs, situation, restrained(judgement, inputs.definition.mode, inputs.freeze))


def _verdicts(inputs: EvaluationInputs, memory: Memory) -> tuple[tuple[Verdict, ...], Verdict]:
    policy = inputs.definition.policy
    if isinstance(policy, ThresholdPolicy):
        verdict = inputs.window_verdict or window_verdict(inputs, policy)
        return (verdict,), verdict
    compared = inputs.counts.only(inputs.counts.compared)
    totals_by_role = {role: totals(inputs.counts, role) for role in Role}
    guardrails = tuple(
        guardrail_verdict(
            guardrail,
            compared,
            inputs.buckets,
            totals_by_role,
            first_tick=inputs.first_tick,
            planned_ticks=inputs.planned_minutes,
            alpha=policy.alpha_rollback / len(policy.guardrails),
            memory=memory.of(guardrail.metric),
        )
        for guardrail in policy.guardrails
    )
    promotion = promotion_verdict(
        compared,
        inputs.buckets,
        totals_by_role,
        alpha=policy.alpha_promote,
        margin=policy.margin_promote,
    )
    return guardrails, promotion


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


def totals(counts: CountTable, role: Role) -> dict[str, int]:
    """All that was counted of a role."""
    sums = counts.sums(counts.of_role(role))
    return {
        "requests": int(sums[Count.REQUESTS]),
        "errors": int(sums[Count.ERRORS]),
        "content_filters": int(sums[Count.CONTENT_FILTERS]),
        "units": int(sums[Count.FIRST_REQUESTS]),
    }


def error_rate_difference(counts: CountTable, *, alpha: float = 0.05) -> Interval | Insufficient:
    """The interval of the difference of error rates over first requests, valid whenever one looks."""
    columns = compared_first_requests(counts)
    return columns if isinstance(columns, Insufficient) else difference_interval(columns, alpha=alpha)


def compared_first_requests(counts: CountTable) -> Columns | Insufficient:
    """The first requests of units, counted while both variants were served."""
    compared = counts.only(counts.compared)
    return event_columns(compared, compared.shares, *first_requests(compared))


def _window(inputs: EvaluationInputs, role: Role, minutes: int) -> WindowCounts:
    rows = inputs.counts.of_role(role)
    return window(inputs.counts, rows, now_tick=inputs.now_tick, minutes=minutes)


def _units_in_step(inputs: EvaluationInputs) -> int:
    """Units the treatment served for the first time at the share now in force."""
    counts = inputs.counts
    rows = counts.of_role(Role.TREATMENT) & (counts[Count.SHARE_BP] == inputs.share_bp)
    return int(counts.sums(rows)[Count.FIRST_REQUESTS])
