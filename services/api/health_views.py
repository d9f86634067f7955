"""What callers get to see of health checks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from pydantic import BaseModel

from services.domain.allocation import SlotName
from services.domain.experiment import Experiment, Stage
from services.domain.health_check import CheckResult, HealthRun, Occasion


class ProblemSeen(BaseModel):
    """What was expected, and what came instead."""

    expected: str
    came: str


class AttemptView(BaseModel):
    """One request of a check. `status` is null where there was no answer."""

    passed: bool
    status: int | None
    latency_seconds: float
    text: str
    request_id: str | None
    problems: list[ProblemSeen]


class CheckView(BaseModel):
    """A check: passed where each of its requests was answered as expected."""

    name: str
    passed: bool
    attempts: list[AttemptView]

    @classmethod
    def of(cls, check: CheckResult) -> CheckView:
        """Return what callers see of a check."""
        attempts = [
            AttemptView(passed=attempt.passed, **msgspec.to_builtins(attempt)) for attempt in check.attempts
        ]
        return cls(name=check.name, passed=check.passed, attempts=attempts)


class HealthRunView(BaseModel):
    """All checks of a slot's variant, run once."""

    slot: SlotName
    variant: str
    allocation_version: int
    occasion: Occasion
    passed: bool
    sentence: str
    checks: list[CheckView]
    seconds: float
    checked_at: datetime

    @classmethod
    def of(cls, run: HealthRun) -> HealthRunView:
        """Return what callers see of a run."""
        fields = msgspec.structs.asdict(run) | {"checks": [CheckView.of(check) for check in run.checks]}
        return cls(**fields)


class HealthView(BaseModel):
    """The health of a deployment's idle slot: before the switch the new variant's, after it the old one's.

    `healthy` is null where it was never checked. `items` are the runs of either variant, newest first.
    """

    experiment: str
    experiment_id: UUID
    stage: Stage
    slot: SlotName | None
    variant: str | None
    healthy: bool | None
    sentence: str
    items: list[HealthRunView]

    @classmethod
    def of(
        cls, experiment: Experiment, slot: SlotName | None, variant: str | None, runs: list[HealthRun]
    ) -> HealthView:
        """Return what callers see of an experiment's health; ``runs`` are newest first."""
        newest = next((run for run in runs if run.variant == variant), None)
        return cls(
            experiment=experiment.key,
            experiment_id=experiment.experiment_id,
            stage=experiment.stage,
            slot=slot,
            variant=variant,
            healthy=None if newest is None else newest.passed,
            sentence=_UNCHECKED if newest is None else newest.sentence,
            items=[HealthRunView.of(run) for run in runs],
        )


_UNCHECKED = "never checked; POST runs the checks"
