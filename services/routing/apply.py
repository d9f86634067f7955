"""Applying a decision: the only automatic hand on traffic.

One transaction holds the decision and the route, changes the allocation by compare-and-set, concludes the
experiment, and leaves the gateways' new configuration in the outbox. So a decision is applied once, however
often it is delivered and wherever the process dies.

A promotion that leaves a holdback begins the watch of the promoted variant; any other is for good. While
a route is frozen nothing of the policy but a rollback is applied.

An A/B test is compared to what is stable. When a canary beside it is promoted, the test goes on against the
new stable variant in a new phase.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.allocation import Allocation, TestSplit, apply_change
from services.domain.decision import POLICY, Decision
from services.domain.errors import Conflict, InvalidDefinition, VersionConflict
from services.domain.experiment import Experiment
from services.messaging.records import config_record
from services.routing.metrics import RoutingMetrics
from services.storage import audit, configuration, decisions, experiments, freezes, outbox, routes

logger = logging.getLogger(__name__)

Applied = Literal["applied", "dropped", "nothing"]


class Frozen(Conflict):
    """The route is frozen, and the decision is one that waits for that to be over."""


async def apply_decision(
    engine: AsyncEngine, decision_id: UUID, metrics: RoutingMetrics | None = None
) -> Applied:
    """Apply a decision, or drop it with a reason; ``nothing`` where that was done before."""
    metrics, started = metrics or RoutingMetrics(), time.monotonic()
    async with engine.begin() as connection:
        await configuration.hold_variants(connection)
        decision = await decisions.lock_recorded(connection, decision_id)
        if decision is None:
            return "nothing"
        try:
            waited = await _apply(connection, decision)
        except (Frozen, VersionConflict, InvalidDefinition) as conflict:
            # After the freeze the policy decides anew, perhaps the same on the same allocation.
            is_frozen = isinstance(conflict, Frozen)
            await decisions.mark_dropped(connection, decision_id, str(conflict), released=is_frozen)
            told = {"experiment_id": str(decision.experiment_id), "decision_id": str(decision_id)}
            logger.info("dropped %s of %s: %s", decision.action, decision.experiment_id, conflict, extra=told)
            metrics.settled(decision.action, time.monotonic() - started)
            return "dropped"
    metrics.settled(decision.action, time.monotonic() - started)
    metrics.applied(decision.action, waited)
    told = {"experiment_id": str(decision.experiment_id), "decision_id": str(decision_id)}
    logger.info("applied %s of %s: %s", decision.action, decision.experiment_id, decision.reason, extra=told)
    return "applied"


async def _apply(connection: AsyncConnection, decision: Decision) -> float:
    """Return for how many seconds the decision had waited."""
    experiment = await experiments.by_id(connection, decision.experiment_id)
    if experiment is None:
        raise VersionConflict(f"there is no experiment {decision.experiment_id}")
    route = await routes.get(connection, experiment.route_key, lock=True)
    await _check_freeze(connection, decision, route.key)
    before, after = route.allocation, apply_change(route.allocation, decision.change)
    await routes.reallocate(
        connection,
        after,
        actor=decision.actor,
        reason=decision.reason,
        decision_id=decision.decision_id,
    )
    await _move_experiment(connection, decision)
    waited = await decisions.mark_applied(connection, decision.decision_id, after.version)
    await _note(connection, decision, experiment, before, after)
    if before.test is not None and after.test is not None and before.test.control != after.test.control:
        await _give_new_control(connection, decision, after.test)
    state = await configuration.config_of(connection, replace(route, allocation=after))
    await outbox.add(connection, *config_record(state))
    return waited


async def _check_freeze(connection: AsyncConnection, decision: Decision, route_key: str) -> None:
    """Raise Frozen where the policy wants something else than a rollback of a frozen route."""
    if decision.action == "rollback" or decision.actor != POLICY:
        return
    for freeze in await freezes.of_route(connection, route_key):
        raise Frozen(f"{freeze.sentence}; it will be decided anew when that is over")


async def _move_experiment(connection: AsyncConnection, decision: Decision) -> None:
    match decision.action:
        case "advance":
            await experiments.begin_step(connection, decision.experiment_id)
        case "promote" if decision.next_share_bp is not None:
            await experiments.begin_watch(connection, decision.experiment_id)
        case "promote":
            await experiments.conclude(connection, decision.experiment_id, "promoted")
        case "rollback":
            await experiments.conclude(connection, decision.experiment_id, "rolled_back")


async def _give_new_control(connection: AsyncConnection, decision: Decision, split: TestSplit) -> None:
    """Begin a new phase of the A/B test beside a promoted canary, against what is stable now."""
    test = await experiments.by_id(connection, split.experiment_id)
    if test is None:
        return
    definition = test.ab_test.with_control(split.control)
    await experiments.begin_phase(connection, test.experiment_id, definition)
    await audit.record(
        connection,
        actor=decision.actor,
        action="new_phase",
        subject=f"experiment/{test.key}",
        before={"phase": test.phase, "control": test.control},
        after={"phase": test.phase + 1, "control": split.control},
        reason=f"{split.control!r} became the stable variant of route {test.route_key!r}, and so the control",
    )


async def _note(
    connection: AsyncConnection,
    decision: Decision,
    experiment: Experiment,
    before: Allocation,
    after: Allocation,
) -> None:
    await audit.record(
        connection,
        actor=decision.actor,
        action=decision.action,
        subject=f"experiment/{experiment.key}",
        before=asdict(before),
        after=asdict(after),
        reason=decision.reason,
    )
