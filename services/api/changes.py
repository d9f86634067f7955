"""What a person may do to an experiment's traffic: each verb is one transaction under the route's lock."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import publish_route
from services.api.transactions import Transaction
from services.api.waiting import view_experiment
from services.domain.allocation import Allocation
from services.domain.decision import Decision
from services.domain.errors import Conflict
from services.domain.experiment import Experiment, ExperimentKind
from services.domain.lifecycle import Verb, check_verb
from services.messaging.records import decision_record
from services.storage import (
    audit,
    configuration,
    decisions,
    evaluations,
    experiments,
    outbox,
    results,
    routes,
)
from services.storage.identifiers import new_id
from services.storage.results import PhaseKey

_NAMES: dict[ExperimentKind, str] = {
    "canary": "canary",
    "ab_test": "A/B test",
    "shadow": "shadow",
    "blue_green": "blue-green deployment",
}
_MOVE_THE_STABLE: frozenset[ExperimentKind] = frozenset({"canary", "blue_green"})
"""Kinds of which one at a time may be on a route, whichever it is: both have the treatment's one place."""


@dataclass(frozen=True, slots=True)
class Change:
    """A verb under way: the experiment and its route's allocation, held until the transaction ends."""

    transaction: Transaction
    verb: Verb
    experiment: Experiment
    allocation: Allocation
    reason: str

    @property
    def connection(self) -> AsyncConnection:
        """Where the change is written."""
        return self.transaction.connection

    async def reallocate(self, after: Allocation) -> None:
        """Put an allocation in force, note it, and publish it."""
        await routes.reallocate(self.connection, after, actor=self.transaction.actor, reason=self.reason)
        await self.note(after=after)
        await publish_route(self.connection, self.experiment.route_key)

    async def note(self, *, after: Allocation | None = None) -> None:
        """Write the change into the audit."""
        await audit.record(
            self.connection,
            actor=self.transaction.actor,
            action=self.verb,
            subject=f"experiment/{self.experiment.key}",
            before=asdict(self.allocation),
            after=None if after is None else asdict(after),
            reason=self.reason,
        )


async def changing(transaction: Transaction, key: str, verb: Verb, reason: str) -> Change:
    """Hold the experiment's route until the transaction ends.

    Raises PreconditionFailed where the caller has seen the experiment otherwise, and Conflict where its
    status does not allow the verb.
    """
    connection = transaction.connection
    await configuration.hold_variants(connection)
    found = await experiments.get(connection, key)
    route = await routes.get(connection, found.route_key, lock=True)
    # Read again: whoever held the route before us may have changed it.
    experiment = await experiments.get(connection, key)
    if transaction.if_match is not None:
        transaction.check_seen(await view_experiment(connection, experiment))
    check_verb(verb, experiment)
    return Change(transaction, verb, experiment, route.allocation, reason)


async def check_room(connection: AsyncConnection, experiment: Experiment) -> None:
    """Raise Conflict where what is live on the route leaves no room for the experiment to start.

    One experiment of each kind may be, a canary and a blue-green deployment counting as one kind; and no two
    may serve the same treatment: to which of them would an outcome belong?
    """
    for other in await experiments.live(connection, route_key=experiment.route_key):
        name = f"{_NAMES[other.kind]} {other.key!r} is {other.status} on route {other.route_key!r}"
        if other.kind == experiment.kind or {other.kind, experiment.kind} == _MOVE_THE_STABLE:
            raise Conflict(f"{name}, and one at a time may be; wait for its end, or stop it")
        shared = sorted(set(other.treatments) & set(experiment.treatments))
        if shared:
            raise Conflict(f"{name} and has the treatment {shared[0]!r} too; wait for its end, or stop it")


async def decide(
    change: Change,
    action: Literal["promote", "rollback"],
    variant: str | None = None,
    *,
    next_share_bp: int | None = None,
) -> Decision:
    """Record a person's decision, which routing applies; asked again, return the one that is recorded.

    ``variant`` is the one to promote, of an A/B test; ``next_share_bp`` what it gets while it is watched.
    """
    seen = await evaluations.newest(change.connection, change.experiment.experiment_id)
    evidence = {} if seen is None or seen.phase != change.experiment.phase else seen.body
    decision = _by_hand(change, action, variant, next_share_bp, evidence)
    if await decisions.record(change.connection, decision):
        key = PhaseKey(decision.experiment_id, change.experiment.key, decision.phase)
        await results.keep_decision(change.connection, key, decision.decision_id)
        await outbox.add(change.connection, *decision_record(decision.event))
        await change.note()
        return decision
    standing = await decisions.standing(change.connection, decision)
    if standing is not None and standing.change == decision.change:
        return standing
    raise Conflict(f"{_what(standing)} {change.experiment.key!r} is being applied; try again")


def _what(standing: Decision | None) -> str:
    if standing is not None and standing.action == "promote" and standing.variant_key is None:
        return "another decision to promote"
    if standing is None or standing.variant_key is None:
        return "the decision to advance"
    return f"the decision to promote {standing.variant_key!r} of"


def _by_hand(
    change: Change,
    action: Literal["promote", "rollback"],
    variant: str | None,
    next_share_bp: int | None,
    evidence: dict[str, Any],
) -> Decision:
    """``evidence`` is what the person could see: the newest evaluation of the phase."""
    return Decision(
        decision_id=new_id(),
        experiment_id=change.experiment.experiment_id,
        phase=change.experiment.phase,
        action=action,
        rule="by_hand",
        reason=change.reason,
        actor=change.transaction.actor,
        allocation_version=change.allocation.version,
        decided_at=datetime.now(UTC),
        next_share_bp=next_share_bp,
        variant_key=variant,
        method="by_hand",
        evidence=evidence,
    )
