"""What a person may do to an experiment's traffic: each verb is one transaction under the route's lock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.common import ADMIN, publish_route
from services.domain.allocation import Allocation
from services.domain.decision import Decision
from services.domain.errors import Conflict
from services.domain.experiment import Experiment, check_share
from services.domain.lifecycle import Verb, check_verb
from services.messaging.records import decision_record
from services.storage import audit, configuration, decisions, experiments, outbox, routes
from services.storage.identifiers import new_id


@dataclass(frozen=True, slots=True)
class Change:
    """A verb under way: the experiment and its route's allocation, held until the transaction ends."""

    connection: AsyncConnection
    verb: Verb
    experiment: Experiment
    allocation: Allocation
    reason: str

    async def reallocate(self, after: Allocation) -> None:
        """Put an allocation in force, note it, and publish it."""
        await routes.reallocate(self.connection, after, actor=ADMIN, reason=self.reason)
        await self.note(after=after)
        await publish_route(self.connection, self.experiment.route_key)

    async def note(self, *, after: Allocation | None = None) -> None:
        """Write the change into the audit."""
        await audit.record(
            self.connection,
            actor=ADMIN,
            action=self.verb,
            subject=f"experiment/{self.experiment.key}",
            before=asdict(self.allocation),
            after=None if after is None else asdict(after),
            reason=self.reason,
        )


@asynccontextmanager
async def changing(engine: AsyncEngine, key: str, verb: Verb, reason: str) -> AsyncIterator[Change]:
    """Hold the experiment's route, and raise Conflict where its status does not allow the verb."""
    async with engine.begin() as connection:
        await configuration.hold_variants(connection)
        found = await experiments.get(connection, key)
        route = await routes.get(connection, found.route_key, lock=True)
        # Read again: whoever held the route before us may have changed it.
        experiment = await experiments.get(connection, key)
        check_verb(verb, experiment)
        yield Change(connection, verb, experiment, route.allocation, reason)


async def start(change: Change) -> None:
    """Give the treatment the first step's share. The control is the variant that is stable now."""
    experiment, stable = change.experiment, change.allocation.stable
    for other in await experiments.live(change.connection, route_key=experiment.route_key):
        raise Conflict(
            f"canary {other.key!r} is {other.status} on route {other.route_key!r}, and one at a time may be; "
            "wait for its end, or stop it"
        )
    if experiment.canary.treatment == stable:
        raise Conflict(
            f"variant {stable!r} is the route's stable variant by now; there is nothing to compare it with"
        )
    await experiments.start(change.connection, experiment.experiment_id, control=stable)
    first_share = experiment.canary.plan.share_bp(0)
    await change.reallocate(
        change.allocation.with_experiment(
            experiment.experiment_id, experiment.canary.treatment, first_share
        )
    )


async def pause(change: Change) -> None:
    """Let the control serve everything; keep the evidence."""
    await experiments.set_status(change.connection, change.experiment.experiment_id, "paused")
    await change.reallocate(change.allocation.with_share(0))


async def resume(change: Change) -> None:
    """Give the treatment the share it had before the pause."""
    experiment = change.experiment
    share_bp = await routes.share_before_pause(
        change.connection, experiment.route_key, experiment.experiment_id
    )
    await experiments.set_status(change.connection, experiment.experiment_id, "running")
    await change.reallocate(change.allocation.with_share(share_bp))


async def set_share(change: Change, share: float) -> None:
    """Give the treatment another share; the step stays what it is."""
    share_bp = check_share("share", share)
    if share_bp != change.allocation.treatment_share_bp:
        await change.reallocate(change.allocation.with_share(share_bp))


async def stop(change: Change) -> None:
    """End the experiment without a conclusion; the control serves everything."""
    await experiments.conclude(change.connection, change.experiment.experiment_id, "inconclusive")
    await change.reallocate(change.allocation.without_experiment(change.allocation.stable))


async def decide(change: Change, action: Literal["promote", "rollback"]) -> Decision:
    """Record a person's decision, which routing applies; asked again, return the one that is recorded."""
    decision = _by_hand(change, action)
    if await decisions.record(change.connection, decision):
        await outbox.add(change.connection, *decision_record(decision.event))
        await change.note()
        return decision
    standing = await decisions.standing(change.connection, decision)
    if standing is not None and standing.action == action:
        return standing
    raise Conflict(f"the decision to advance {change.experiment.key!r} is being applied; try again")


def _by_hand(change: Change, action: Literal["promote", "rollback"]) -> Decision:
    return Decision(
        decision_id=new_id(),
        experiment_id=change.experiment.experiment_id,
        phase=change.experiment.phase,
        action=action,
        rule="by_hand",
        reason=change.reason,
        actor=ADMIN,
        allocation_version=change.allocation.version,
        decided_at=datetime.now(UTC),
        evidence={},
        method="by_hand",
    )
