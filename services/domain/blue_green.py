"""Blue-green deployments: the rules of a definition, and the two slots of a route.

A route has the slots blue and green. The active one serves; the idle one is empty, or holds what a
deployment has put there: before the switch the new variant, which gets no traffic, after it the old one,
which keeps the holdback until the watch is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.allocation import Allocation, SlotName
from services.domain.canary import check_kill_switch, check_policy
from services.domain.errors import InvalidDefinition
from services.domain.experiment import BlueGreenDefinition
from services.domain.health_check import check_health_checks
from services.domain.watch_plan import check_watch

LONGEST_CHECKS_SECONDS = 300.0


def check_blue_green(definition: BlueGreenDefinition, *, control: str) -> None:
    """Raise InvalidDefinition for the first rule the definition breaks."""
    if definition.treatment == control:
        raise InvalidDefinition("treatment", f"{control!r} is the route's stable variant; name another one")
    check_health_checks(definition.checks)
    if not 1 <= definition.checks_within_seconds <= LONGEST_CHECKS_SECONDS:
        raise InvalidDefinition(
            "checks_within_seconds",
            f"is {definition.checks_within_seconds:g}; it must be from 1 to {LONGEST_CHECKS_SECONDS:g}",
        )
    check_watch(definition.watch)
    check_policy(definition.policy)
    check_kill_switch(definition.kill_switch)
    if not definition.lease_limit_seconds >= 5:
        raise InvalidDefinition("lease_limit_seconds", "must be at least 5")


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot and the variant that gateways find in it; None where it is empty."""

    name: SlotName
    variant: str | None
    is_active: bool


def slots_of(allocation: Allocation) -> tuple[Slot, Slot]:
    """Return blue and green, in this order."""
    active = Slot(allocation.active_slot, allocation.active_variant, True)
    idle = Slot(allocation.idle_slot, allocation.idle_variant, False)
    return (active, idle) if active.name == "blue" else (idle, active)
