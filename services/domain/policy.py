"""The policy of a canary: an ordered list of rules, the first of which that has something to say decides.

A rule reads the Situation and answers with a Decision to make (``Act``), a reason to wait (``Hold``), or
nothing. Holding is a verdict that is shown, never a decision that blocks a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.domain.canary import ApprovalPoint, CanaryPlan
from services.domain.events import DecisionAction
from services.domain.restraint import Mode

VerdictName = Literal["pass", "fail", "inconclusive", "no_data"]
Health = Literal["fine", "treatment_down", "both_down"]

FRESH_EVIDENCE_SECONDS = 5.0
"""How old the counts may be for going up: an older reading could hide what is happening now."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One metric's judgement, with the figures it rests on."""

    metric: str
    verdict: VerdictName
    sentence: str
    figures: dict[str, float] = field(default_factory=dict)
    variant: str | None = None
    """The treatment it is about, where there may be several."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the rules may look at. Durations are in the log's and the database's time.

    ``minutes_running`` is of the phase. ``approved``: a person agreed to what comes next.
    """

    plan: CanaryPlan
    step: int
    share_bp: int
    guardrails: tuple[Verdict, ...]
    promotion: Verdict
    health: Health
    health_sentence: str
    units_in_step: int
    seconds_in_step: float
    minutes_running: float
    evidence_age_seconds: float
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """A decision to make. A promotion with ``next_share_bp`` leaves the rest on the old variant, to watch."""

    action: DecisionAction
    rule: str
    reason: str
    next_step: int | None = None
    next_share_bp: int | None = None
    variant_key: str | None = None
    """The variant to promote, where there may be several."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason to wait, as a sentence and as data: what is there, and what is needed."""

    rule: str
    reason: str
    have: float | None = None
    need: float | None = None


Judgement = Act | Hold
Rule = Callable[[Situation], Judgement | None]


def roll_back_on_guardrail(situation: Situation) -> Judgement | None:
    """Roll back when any guardrail has failed."""
    for verdict in situation.guardrails:
        if verdict.verdict == "fail":
            return Act("rollback", "roll_back_on_guardrail", verdict.sentence)
    return None


def roll_back_on_kill_switch(situation: Situation) -> Judgement | None:
    """Roll back when the treatment alone is down."""
    if situation.health == "treatment_down":
        return Act("rollback", "roll_back_on_kill_switch", situation.health_sentence)
    return None


def freeze_when_both_are_down(situation: Situation) -> Judgement | None:
    """Stay where we are while treatment and control are down together: it is not the canary's doing."""
    if situation.health == "both_down":
        return Hold("freeze_when_both_are_down", situation.health_sentence)
    return None


def decide_at_deadline(situation: Situation) -> Judgement | None:
    """At the end of the planned duration, do what the plan says."""
    plan = situation.plan
    if situation.minutes_running < plan.planned_duration_minutes:
        return None
    passed = f"the planned {plan.planned_duration_minutes} minutes have passed without a promotion"
    name, policy = "deadline_policy", plan.deadline_policy
    if _silent(situation):
        passed += f", with no outcomes counted for {', '.join(_silent(situation))}"
        if plan.deadline_no_data is not None:
            name, policy = "deadline_no_data", plan.deadline_no_data
    if policy == "rollback":
        return Act("rollback", "decide_at_deadline", f"{passed}, and the plan's {name} is rollback")
    return Hold("decide_at_deadline", f"{passed}; promote or roll back by hand")


def hold_without_data(situation: Situation) -> Judgement | None:
    """No data is neither success nor failure."""
    silent = _silent(situation)
    if silent:
        return Hold("hold_without_data", f"no outcomes counted yet for {', '.join(silent)}", have=0, need=1)
    return None


def hold_on_stale_evidence(situation: Situation) -> Judgement | None:
    """Never go up on counts that may hide what is happening now."""
    age = situation.evidence_age_seconds
    if age > FRESH_EVIDENCE_SECONDS:
        return Hold(
            "hold_on_stale_evidence",
            f"the counts are {age:.0f} s behind; waiting for the workers to catch up",
            have=age,
            need=FRESH_EVIDENCE_SECONDS,
        )
    return None


def hold_while_in_doubt(situation: Situation) -> Judgement | None:
    """Do not send more traffic to a treatment that looks worse, though not provably so."""
    for verdict in situation.guardrails:
        if verdict.verdict == "inconclusive":
            return Hold("hold_while_in_doubt", verdict.sentence)
    return None


def hold_for_step_duration(situation: Situation) -> Judgement | None:
    """Stay on a step for its minimum duration."""
    have, need = situation.seconds_in_step, situation.plan.step_minimum_seconds
    if have < need:
        return Hold(
            "hold_for_step_duration",
            f"step {situation.step + 1} has run {have:.0f} of at least {need:.0f} s",
            have=have,
            need=need,
        )
    return None


def hold_for_step_units(situation: Situation) -> Judgement | None:
    """Stay on a step until enough new units were served by the treatment."""
    have, need = situation.units_in_step, situation.plan.step_minimum_units
    if have < need:
        return Hold(
            "hold_for_step_units",
            f"step {situation.step + 1} has {have} of at least {need} units on the treatment",
            have=have,
            need=need,
        )
    return None


def hold_for_approval(situation: Situation) -> Judgement | None:
    """Stop where the plan wants a person to agree, once nothing else is in the way."""
    point = next_point(situation.plan, situation.step)
    if situation.approved or point not in situation.plan.approve_before:
        return None
    if point == "promote" and situation.promotion.verdict != "pass":
        return None
    return Hold("hold_for_approval", f"ready for {point_name(situation.plan, point)}; /approve lets it go on")


def advance_to_next_step(situation: Situation) -> Judgement | None:
    """Raise the share while there is a next step."""
    plan, step = situation.plan, situation.step
    if step >= plan.last_step:
        return None
    share_bp = plan.share_bp(step + 1)
    return Act(
        "advance",
        "advance_to_next_step",
        f"step {step + 1} held for its time and units with no guardrail failing",
        next_step=step + 1,
        # A share set by hand may already be above the next step's: never take traffic away by advancing.
        next_share_bp=max(share_bp, situation.share_bp),
    )


def promote_when_not_worse(situation: Situation) -> Judgement | None:
    """Promote at the last step, once the evidence says that the treatment is not worse."""
    if situation.promotion.verdict == "pass":
        return Act(
            "promote",
            "promote_when_not_worse",
            situation.promotion.sentence,
            next_share_bp=situation.plan.watch.promoted_share_bp,
        )
    return None


def hold_for_promotion_evidence(situation: Situation) -> Judgement | None:
    """Otherwise wait for that evidence."""
    figures = situation.promotion.figures
    return Hold(
        "hold_for_promotion_evidence",
        situation.promotion.sentence,
        have=figures.get("e_value"),
        need=figures.get("threshold"),
    )


CANARY_RULES: tuple[Rule, ...] = (
    roll_back_on_guardrail,
    roll_back_on_kill_switch,
    freeze_when_both_are_down,
    decide_at_deadline,
    hold_without_data,
    hold_on_stale_evidence,
    hold_while_in_doubt,
    hold_for_step_duration,
    hold_for_step_units,
    hold_for_approval,
    advance_to_next_step,
    promote_when_not_worse,
    hold_for_promotion_evidence,
)


def judge(situation: Situation, rules: tuple[Rule, ...] = CANARY_RULES) -> Judgement:
    """Return what the first rule with something to say says."""
    for rule in rules:
        judgement = rule(situation)
        if judgement is not None:
            return judgement
    return Hold("nothing_to_do", "no rule applies")


def restrained(judgement: Judgement, mode: Mode, freeze: str) -> Judgement:
    """Return what is left to do: nothing in mode observe, and only rollbacks under a ``freeze``, a sentence.

    Instead it is said what would be done.
    """
    if not isinstance(judgement, Act):
        return judgement
    would = f"{_WOULD[judgement.action]} ({judgement.rule}): {judgement.reason}"
    if mode == "observe":
        return Hold("observe", f"only observed; would {would}")
    if freeze and judgement.action != "rollback":
        return Hold("frozen", f"{freeze}; would {would}")
    return judgement


_WOULD: Mapping[DecisionAction, str] = {
    "advance": "advance",
    "promote": "promote",
    "rollback": "roll back",
}


def next_point(plan: CanaryPlan, step: int) -> ApprovalPoint:
    """Return what comes after a step: the index of the next one, or the promotion."""
    return step + 1 if step < plan.last_step else "promote"


def point_name(plan: CanaryPlan, point: ApprovalPoint) -> str:
    """Return how a point of the ramp is called in sentences."""
    return "the promotion" if point == "promote" else f"step {point + 1} ({plan.steps[point]:.2%})"


def _silent(situation: Situation) -> list[str]:
    return [verdict.metric for verdict in situation.guardrails if verdict.verdict == "no_data"]
