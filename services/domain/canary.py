"""Canaries as teams define them: the plan, the policy, the kill switch; and what must hold of them."""

from __future__ import annotations

import itertools
from typing import Literal

import msgspec

from services.domain.assignment import BASIS_POINTS
from services.domain.configuration import OnBlind
from services.domain.errors import InvalidDefinition
from services.domain.restraint import Mode
from services.domain.watch_plan import NO_WATCH, WatchPlan, check_watch

DeadlinePolicy = Literal["hold", "rollback"]
ApprovalPoint = int | Literal["promote"]
"""The index of a step, or the promotion."""
GuardrailMetric = Literal["error_rate", "content_filter_rate", "latency"]


class Guardrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric that can only stop. ``margin`` is how much worse the treatment may be, as a fraction.

    ``latency`` asks whether answers became slower at all and takes no margin.
    """

    metric: GuardrailMetric = "error_rate"
    margin: float = 0.0


class SequentialPolicy(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="sequential"
):
    """Decide on always-valid evidence: looking often never raises the share of false alarms above alpha."""

    alpha_rollback: float = 0.01
    alpha_promote: float = 0.05
    margin_promote: float = 0.02
    guardrails: tuple[Guardrail, ...] = (Guardrail(),)


class ThresholdPolicy(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="threshold"
):
    """The windowed rule people know: worse than the control by more than a margin, over a window."""

    window_minutes: int = 10
    interval_seconds: float = 60.0
    margin: float = 0.05
    minimum_requests: int = 50


Policy = SequentialPolicy | ThresholdPolicy


class KillSwitch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pull the treatment at once when this share of its requests fails over the last minute."""

    error_rate: float = 0.5
    minimum_requests: int = 20


class CanaryPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a canary goes up. ``planned_duration_minutes`` is also the horizon the evidence re-arms over.

    What definitions of older releases do not say means what it meant then; the api has its own defaults.
    """

    steps: tuple[float, ...] = (0.05, 0.10, 0.25, 0.50)
    step_minimum_seconds: float = 300.0
    step_minimum_units: int = 100
    planned_duration_minutes: int = 60
    deadline_policy: DeadlinePolicy = "hold"
    """What to do at the end of the planned duration, where the evidence is not enough for a promotion."""
    deadline_no_data: DeadlinePolicy | None = None
    """The same where there is no evidence at all; None: as ``deadline_policy``."""
    approve_before: tuple[ApprovalPoint, ...] = ()
    """Before which steps, by index, and whether before the promotion, a person must agree."""
    holdback_share: float = NO_WATCH.holdback_share
    watch_minutes: int = NO_WATCH.watch_minutes

    @property
    def watch(self) -> WatchPlan:
        """How the treatment is watched once it is promoted."""
        return WatchPlan(self.holdback_share, self.watch_minutes)

    def share_bp(self, step: int) -> int:
        """Return the treatment's share at a step, in basis points."""
        return round(self.steps[step] * BASIS_POINTS)

    @property
    def last_step(self) -> int:
        """The index of the last step before promotion."""
        return len(self.steps) - 1


class CanaryDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A canary as its team defines it: the route's stable variant is the control."""

    treatment: str
    plan: CanaryPlan = CanaryPlan()
    policy: Policy = SequentialPolicy()
    kill_switch: KillSwitch = KillSwitch()
    on_blind: OnBlind = "control"
    lease_limit_seconds: float = 60.0
    mode: Mode = "act"


def _fraction(field: str, value: float, *, zero_allowed: bool = False) -> None:
    if not 0 <= value < 1 or (value == 0 and not zero_allowed):
        low = "at least 0" if zero_allowed else "above 0"
        raise InvalidDefinition(field, f"is {value:g}; it must be {low} and below 1")


def _at_least(field: str, value: float, low: float) -> None:
    if not value >= low:
        raise InvalidDefinition(field, f"is {value:g}; it must be at least {low:g}")


def check_share(field: str, share: float) -> int:
    """Return a share in basis points; raise InvalidDefinition where it is not one that can be measured."""
    _fraction(field, share)
    share_bp = round(share * BASIS_POINTS)
    if abs(share_bp - share * BASIS_POINTS) > 1e-6:
        raise InvalidDefinition(field, f"is {share:g}; shares are exact to 0.0001 (one basis point)")
    return share_bp


def _check_plan(plan: CanaryPlan) -> None:
    if not plan.steps:
        raise InvalidDefinition("plan.steps", "is empty; give at least one share, such as [0.05, 0.25, 0.5]")
    shares = [check_share(f"plan.steps[{i}]", share) for i, share in enumerate(plan.steps)]
    for i, (low, high) in enumerate(itertools.pairwise(shares), start=1):
        if high <= low:
            raise InvalidDefinition(f"plan.steps[{i}]", "must be larger than the step before it")
    _at_least("plan.step_minimum_seconds", plan.step_minimum_seconds, 0)
    _at_least("plan.step_minimum_units", plan.step_minimum_units, 1)
    _at_least("plan.planned_duration_minutes", plan.planned_duration_minutes, 1)
    check_watch(plan.watch, prefix="plan.")
    _check_approvals(plan)


def _check_approvals(plan: CanaryPlan) -> None:
    if len(set(plan.approve_before)) != len(plan.approve_before):
        raise InvalidDefinition("plan.approve_before", "names a point twice")
    for i, point in enumerate(plan.approve_before):
        if point != "promote" and not 1 <= point <= plan.last_step:
            raise InvalidDefinition(
                f"plan.approve_before[{i}]",
                f"is {point}; it must be the index of a step after the first (1 to {plan.last_step}) or "
                "'promote'; /start is the approval of the first",
            )


def check_policy(policy: Policy) -> None:
    """Raise InvalidDefinition for the first rule the policy breaks."""
    if isinstance(policy, ThresholdPolicy):
        _at_least("policy.window_minutes", policy.window_minutes, 1)
        _at_least("policy.interval_seconds", policy.interval_seconds, 1)
        _fraction("policy.margin", policy.margin, zero_allowed=True)
        _at_least("policy.minimum_requests", policy.minimum_requests, 1)
        return
    _fraction("policy.alpha_rollback", policy.alpha_rollback)
    _fraction("policy.alpha_promote", policy.alpha_promote)
    _fraction("policy.margin_promote", policy.margin_promote)
    if not policy.guardrails:
        raise InvalidDefinition("policy.guardrails", "is empty; a canary needs at least one guardrail")
    metrics = [guardrail.metric for guardrail in policy.guardrails]
    if len(set(metrics)) != len(metrics):
        raise InvalidDefinition("policy.guardrails", "names a metric twice")
    for i, guardrail in enumerate(policy.guardrails):
        _fraction(f"policy.guardrails[{i}].margin", guardrail.margin, zero_allowed=True)


def check_kill_switch(switch: KillSwitch) -> None:
    """Raise InvalidDefinition where there can be no such kill switch."""
    _fraction("kill_switch.error_rate", switch.error_rate)
    _at_least("kill_switch.minimum_requests", switch.minimum_requests, 1)


def check_definition(definition: CanaryDefinition, *, control: str) -> None:
    """Raise InvalidDefinition for the first rule the definition breaks."""
    if definition.treatment == control:
        raise InvalidDefinition("treatment", f"{control!r} is the route's stable variant; name another one")
    _check_plan(definition.plan)
    check_policy(definition.policy)
    check_kill_switch(definition.kill_switch)
    _at_least("lease_limit_seconds", definition.lease_limit_seconds, 5)
