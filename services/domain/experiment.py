"""Experiments: what a team defines, where it stands, and what the control loop reads.

Durations carry their unit in the name; shares and rates are fractions in [0, 1], exact to a basis point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from services.domain.ab_test import ABTestDefinition
from services.domain.canary import CanaryDefinition, CanaryPlan, KillSwitch, Policy, SequentialPolicy
from services.domain.errors import Conflict
from services.domain.health_check import DEFAULT_CHECKS, HealthCheck
from services.domain.restraint import Mode
from services.domain.shadow import ShadowDefinition
from services.domain.watch_plan import DEFAULT_WATCH, NO_WATCH, WatchPlan

ExperimentKind = Literal["canary", "ab_test", "shadow", "blue_green"]
ExperimentStatus = Literal["draft", "running", "paused", "stopped"]
Stage = Literal["ramp", "deployed", "watch"]
"""How far an experiment has come: on its way up; deployed and not yet served; promoted and watched."""
Conclusion = Literal["promoted", "rolled_back", "inconclusive"]


class BlueGreenDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant that is deployed to the idle slot, checked, and switched to at once (docs/blue-green.md)."""

    treatment: str
    checks: tuple[HealthCheck, ...] = DEFAULT_CHECKS
    checks_within_seconds: float = 60.0
    """All checks together, the time included that gateways take to learn of the variant."""
    holdback_share: float = DEFAULT_WATCH.holdback_share
    watch_minutes: int = DEFAULT_WATCH.watch_minutes
    policy: Policy = SequentialPolicy()
    kill_switch: KillSwitch = KillSwitch()
    lease_limit_seconds: float = 60.0
    mode: Mode = "act"

    @property
    def watch(self) -> WatchPlan:
        """How the new variant is watched after the switch."""
        return WatchPlan(self.holdback_share, self.watch_minutes)

    @property
    def judged_as(self) -> CanaryDefinition:
        """The canary whose watch is the same as this one's: judged by the same rules."""
        plan = CanaryPlan(
            planned_duration_minutes=self.watch_minutes,
            holdback_share=self.holdback_share,
            watch_minutes=self.watch_minutes,
        )
        return CanaryDefinition(
            treatment=self.treatment,
            plan=plan,
            policy=self.policy,
            kill_switch=self.kill_switch,
            on_blind="hold",
            lease_limit_seconds=self.lease_limit_seconds,
            mode=self.mode,
        )


Definition = CanaryDefinition | ABTestDefinition | ShadowDefinition | BlueGreenDefinition


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment and where it stands. ``key`` is human, ``experiment_id`` is for programs."""

    experiment_id: UUID
    key: str
    route_key: str
    kind: ExperimentKind
    status: ExperimentStatus
    conclusion: Conclusion | None
    definition: Definition
    control: str
    phase: int
    created_at: datetime
    started_at: datetime | None = None
    step_started_at: datetime | None = None
    stopped_at: datetime | None = None
    stage: Stage = "ramp"
    approved_version: int | None = None
    """The allocation for which a person approved what comes next."""

    @property
    def salt(self) -> str:
        """What the experiment's assignment is salted with."""
        return str(self.experiment_id)

    @property
    def variant_keys(self) -> tuple[str, ...]:
        """Every variant that takes part, the control first."""
        if isinstance(self.definition, ABTestDefinition):
            return tuple(variant.key for variant in self.definition.variants)
        return (self.control, self.definition.treatment)

    @property
    def treatments(self) -> tuple[str, ...]:
        """The variants that are compared to the control."""
        return self.variant_keys[1:]

    @property
    def canary(self) -> CanaryDefinition:
        """The definition of a canary. Raises Conflict for any other kind."""
        if not isinstance(self.definition, CanaryDefinition):
            raise Conflict(f"{self.key!r} is an experiment of kind {self.kind}, this is for canaries")
        return self.definition

    @property
    def judged_as(self) -> CanaryDefinition:
        """By what it is judged whether the one treatment may be served: guardrails, kill switch, watch.

        Raises Conflict for kinds that have no such question.
        """
        if isinstance(self.definition, BlueGreenDefinition):
            return self.definition.judged_as
        return self.canary

    @property
    def watch(self) -> WatchPlan:
        """How the treatment is watched once it is promoted; kinds without a watch have none."""
        match self.definition:
            case CanaryDefinition(plan=plan):
                return plan.watch
            case BlueGreenDefinition(watch=watch):
                return watch
            case _:
                return NO_WATCH

    @property
    def blue_green(self) -> BlueGreenDefinition:
        """The definition of a blue-green deployment. Raises Conflict for any other kind."""
        if not isinstance(self.definition, BlueGreenDefinition):
            raise Conflict(
                f"{self.key!r} is an experiment of kind {self.kind}, this is for blue-green deployments"
            )
        return self.definition

    @property
    def ab_test(self) -> ABTestDefinition:
        """The definition of an A/B test. Raises Conflict for any other kind."""
        if not isinstance(self.definition, ABTestDefinition):
            raise Conflict(f"{self.key!r} is an experiment of kind {self.kind}, this is for A/B tests")
        return self.definition

    @property
    def shadow(self) -> ShadowDefinition:
        """The definition of a shadow. Raises Conflict for any other kind."""
        if not isinstance(self.definition, ShadowDefinition):
            raise Conflict(f"{self.key!r} is an experiment of kind {self.kind}, this is for shadows")
        return self.definition
