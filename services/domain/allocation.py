"""Allocations: how a route's traffic is split, and how a decision or a person changes it.

An allocation is append-only and versioned per route. Applying a change is a compare-and-set: it names the
version it was based on. A rollback is the exception: it applies to whatever allocation it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.domain.assignment import BASIS_POINTS
from services.domain.errors import InvalidDefinition, VersionConflict
from services.domain.events import DecisionAction


@dataclass(frozen=True, slots=True)
class Allocation:
    """The split of a route's traffic at one version.

    ``stable`` serves what the experiment does not; with no experiment it serves everything.
    ``step`` is the index of the ramp's step the share belongs to; a share set by hand keeps the step.
    """

    route_key: str
    version: int
    stable: str
    experiment_id: UUID | None = None
    treatment: str | None = None
    treatment_share_bp: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.treatment_share_bp < BASIS_POINTS:
            raise InvalidDefinition(
                "treatment_share",
                "must be at least 0 and below 1; promote to send all traffic to the treatment",
            )
        if self.treatment_share_bp and self.treatment is None:
            raise InvalidDefinition("treatment_share", "needs an experiment with a treatment")

    @property
    def weights_bp(self) -> dict[str, int]:
        """Basis points of traffic by variant key; they sum to 10,000."""
        weights = {self.stable: BASIS_POINTS - self.treatment_share_bp}
        if self.treatment is not None:
            weights[self.treatment] = self.treatment_share_bp
        return weights

    def with_share(self, share_bp: int, *, step: int | None = None) -> Allocation:
        """Return the next allocation with another share for the treatment."""
        return Allocation(
            route_key=self.route_key,
            version=self.version + 1,
            stable=self.stable,
            experiment_id=self.experiment_id,
            treatment=self.treatment,
            treatment_share_bp=share_bp,
            step=self.step if step is None else step,
        )

    def with_experiment(self, experiment_id: UUID, treatment: str, share_bp: int) -> Allocation:
        """Return the next allocation, in which an experiment starts at its first step."""
        return Allocation(
            route_key=self.route_key,
            version=self.version + 1,
            stable=self.stable,
            experiment_id=experiment_id,
            treatment=treatment,
            treatment_share_bp=share_bp,
        )

    def without_experiment(self, stable: str) -> Allocation:
        """Return the next allocation, in which ``stable`` serves everything."""
        return Allocation(route_key=self.route_key, version=self.version + 1, stable=stable)


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision asks of an allocation."""

    action: DecisionAction
    experiment_id: UUID
    based_on_version: int
    next_share_bp: int | None = None
    next_step: int | None = None


def apply_change(current: Allocation, change: Change) -> Allocation:
    """Return the allocation after ``change``.

    Raises VersionConflict where the change came too late: the experiment has left the route, or, for anything
    but a rollback, the allocation is no longer the one the change was based on.
    """
    if current.experiment_id != change.experiment_id or current.treatment is None:
        raise VersionConflict("the experiment no longer has a part of this route's traffic; nothing to do")
    if change.action == "rollback":
        return current.without_experiment(current.stable)
    if current.version != change.based_on_version:
        raise VersionConflict(
            f"decided on allocation {change.based_on_version}, but the route is at {current.version}; "
            "it will be decided anew on the present one"
        )
    if change.action == "promote":
        return current.without_experiment(current.treatment)
    if change.next_share_bp is None:
        raise InvalidDefinition("next_share", "an advance names the share it advances to")
    return current.with_share(change.next_share_bp, step=change.next_step)
