"""Allocations: how a route's traffic is split, and how a decision or a person changes it.

An allocation is append-only and versioned per route. Applying a change is a compare-and-set: it names the
version it was based on. A rollback is the exception: it applies to whatever allocation it finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from services.domain.ab_test import ABTestDefinition
from services.domain.assignment import BASIS_POINTS
from services.domain.errors import InvalidDefinition, VersionConflict
from services.domain.events import DecisionAction

SlotName = Literal["blue", "green"]


@dataclass(frozen=True, slots=True)
class TestSplit:
    """How an A/B test splits its units: the share of units in it, and the weights of its variants.

    The first variant is the control, which serves whatever the route serves without the test. Weights are
    in basis points and sum to 10,000.
    """

    __test__ = False
    experiment_id: UUID
    traffic_bp: int
    variants: tuple[str, ...]
    weights_bp: tuple[int, ...]

    @classmethod
    def of(cls, experiment_id: UUID, definition: ABTestDefinition) -> TestSplit:
        """Return the split that a test asks for."""
        variants = tuple(variant.key for variant in definition.variants)
        return cls(experiment_id, definition.traffic_bp, variants, definition.weights_bp)

    @property
    def control(self) -> str:
        """The variant that serves where the test serves no treatment."""
        return self.variants[0]

    def with_control(self, control: str) -> TestSplit:
        """Return the same split with another control."""
        return replace(self, variants=(control, *self.variants[1:]))

    def with_traffic(self, traffic_bp: int) -> TestSplit:
        """Return the same split of another share of units; with 0 nobody takes part."""
        return replace(self, traffic_bp=traffic_bp)


@dataclass(frozen=True, slots=True)
class ShadowSplit:
    """Which share of a route's requests a shadow gets copies of; with 0, none."""

    experiment_id: UUID
    variant: str
    sample_bp: int

    def with_sample(self, sample_bp: int) -> ShadowSplit:
        """Return the same shadow with another share."""
        return replace(self, sample_bp=sample_bp)


@dataclass(frozen=True, slots=True)
class Allocation:
    """The split of a route's traffic at one version.

    ``stable`` serves what the experiment does not; with no experiment it serves everything.
    ``step`` is the index of the ramp's step the share belongs to; a share set by hand keeps the step.
    ``test`` is laid over it: a unit to which the A/B test gives a treatment is served by that one.
    ``shadow`` serves nobody; it gets copies of requests.
    ``active_slot`` is the slot that serves; ``idle_variant`` is what the other one holds (blue_green.py).
    """

    route_key: str
    version: int
    stable: str
    experiment_id: UUID | None = None
    treatment: str | None = None
    treatment_share_bp: int = 0
    step: int = 0
    test: TestSplit | None = None
    shadow: ShadowSplit | None = None
    active_slot: SlotName = "blue"
    idle_variant: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.treatment_share_bp < BASIS_POINTS:
            raise InvalidDefinition(
                "treatment_share",
                "must be at least 0 and below 1; promote to send all traffic to the treatment",
            )
        if self.treatment_share_bp and self.treatment is None:
            raise InvalidDefinition("treatment_share", "needs an experiment with a treatment")
        if self.test is not None and self.test.control != self.stable:
            raise InvalidDefinition("test", "needs the route's stable variant as its control")
        if self.idle_variant not in (None, self.stable, self.treatment):
            raise InvalidDefinition("idle_variant", "needs a deployment that put it there")

    @property
    def variant_keys(self) -> frozenset[str]:
        """Every variant that may be asked."""
        treatment = () if self.treatment is None else (self.treatment,)
        shadow = () if self.shadow is None else (self.shadow.variant,)
        return frozenset((self.stable, *treatment, *(self.test.variants if self.test else ()), *shadow))

    @property
    def idle_slot(self) -> SlotName:
        """The slot that does not serve, or only the holdback."""
        return "green" if self.active_slot == "blue" else "blue"

    @property
    def active_variant(self) -> str:
        """What the active slot holds: after a switch, the treatment."""
        is_switched = self.idle_variant == self.stable
        return self.treatment if is_switched and self.treatment is not None else self.stable

    @property
    def weights(self) -> dict[str, float]:
        """The fraction of units that each variant serves, the A/B test included; they sum to 1."""
        below = {key: weight / BASIS_POINTS for key, weight in self.weights_bp.items()}
        if self.test is None:
            return below
        taking_part = self.test.traffic_bp / BASIS_POINTS
        weights = zip(self.test.variants[1:], self.test.weights_bp[1:], strict=True)
        above = {key: taking_part * weight / BASIS_POINTS for key, weight in weights}
        rest = 1 - sum(above.values())
        return {key: weight * rest for key, weight in below.items()} | above

    @property
    def weights_bp(self) -> dict[str, int]:
        """Basis points by variant key of the traffic below the A/B test; they sum to 10,000."""
        weights = {self.stable: BASIS_POINTS - self.treatment_share_bp}
        if self.treatment is not None:
            weights[self.treatment] = self.treatment_share_bp
        return weights

    def with_share(self, share_bp: int, *, step: int | None = None) -> Allocation:
        """Return the next allocation with another share for the treatment."""
        return replace(
            self,
            version=self.version + 1,
            treatment_share_bp=share_bp,
            step=self.step if step is None else step,
        )

    def with_experiment(self, experiment_id: UUID, treatment: str, share_bp: int) -> Allocation:
        """Return the next allocation, in which an experiment starts at its first step."""
        return replace(
            self,
            version=self.version + 1,
            experiment_id=experiment_id,
            treatment=treatment,
            treatment_share_bp=share_bp,
            step=0,
        )

    def with_deployment(self, experiment_id: UUID, treatment: str) -> Allocation:
        """Return the next allocation: the idle slot holds ``treatment``, and nobody is sent to it."""
        return replace(self.with_experiment(experiment_id, treatment, 0), idle_variant=treatment)

    def switched(self, share_bp: int) -> Allocation:
        """Return the next allocation, in which the slots have changed places: what was deployed serves
        ``share_bp``, and the rest is held back on what is stable."""
        return replace(self.with_share(share_bp), active_slot=self.idle_slot, idle_variant=self.stable)

    def without_experiment(self, stable: str) -> Allocation:
        """Return the next allocation, in which ``stable`` serves everything but the A/B test's treatments.

        The control of an A/B test is what is stable, so it becomes the test's control too. Where ``stable``
        is in the idle slot, that slot is the active one from now on. The other one is empty.
        """
        return Allocation(
            self.route_key,
            self.version + 1,
            stable,
            test=None if self.test is None else self.test.with_control(stable),
            shadow=self.shadow,
            active_slot=self.idle_slot if stable == self.idle_variant else self.active_slot,
        )

    def with_test(self, split: TestSplit) -> Allocation:
        """Return the next allocation, with an A/B test or another split of it."""
        return replace(self, version=self.version + 1, test=split)

    def without_test(self, stable: str | None = None) -> Allocation:
        """Return the next allocation, without the A/B test; ``stable`` is what serves from now on."""
        return replace(self, version=self.version + 1, test=None, stable=stable or self.stable)

    def with_shadow(self, split: ShadowSplit) -> Allocation:
        """Return the next allocation, with a shadow or another share for it."""
        return replace(self, version=self.version + 1, shadow=split)

    def without_shadow(self) -> Allocation:
        """Return the next allocation, in which no request is mirrored."""
        return replace(self, version=self.version + 1, shadow=None)


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision asks of an allocation."""

    action: DecisionAction
    experiment_id: UUID
    based_on_version: int
    next_share_bp: int | None = None
    """Of an advance; of a promotion that is to be watched, what the treatment gets meanwhile."""
    next_step: int | None = None
    variant_key: str | None = None
    """The variant to promote, of an A/B test."""


def apply_change(current: Allocation, change: Change) -> Allocation:
    """Return the allocation after ``change``.

    Raises VersionConflict where the change came too late: the experiment has left the route, or, for anything
    but a rollback, the allocation is no longer the one the change was based on.
    """
    if current.test is not None and current.test.experiment_id == change.experiment_id:
        return _apply_to_test(current, current.test, change)
    if current.experiment_id != change.experiment_id or current.treatment is None:
        raise VersionConflict("the experiment no longer has a part of this route's traffic; nothing to do")
    if change.action == "rollback":
        return current.without_experiment(current.stable)
    _check_version(current, change)
    if change.action == "promote" and change.next_share_bp is None:
        return current.without_experiment(current.treatment)
    if change.next_share_bp is None:
        raise InvalidDefinition("next_share", "an advance names the share it advances to")
    return current.with_share(change.next_share_bp, step=change.next_step)


def _apply_to_test(current: Allocation, split: TestSplit, change: Change) -> Allocation:
    if change.action == "rollback":
        return current.without_test()
    _check_version(current, change)
    if change.action == "advance":
        raise InvalidDefinition("action", "an A/B test has no steps to advance to")
    if change.variant_key not in split.variants:
        raise InvalidDefinition("variant", f"must be one of the test's: {', '.join(split.variants)}")
    if change.variant_key == split.control:
        return current.without_test()
    if current.experiment_id is not None:
        raise VersionConflict("a canary runs on the route; finish it before another variant becomes stable")
    return current.without_test(change.variant_key)


def _check_version(current: Allocation, change: Change) -> None:
    if current.version != change.based_on_version:
        raise VersionConflict(
            f"decided on allocation {change.based_on_version}, but the route is at {current.version}; "
            "it will be decided anew on the present one"
        )
