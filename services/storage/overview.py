"""What operators watch of the database: what waits, what was decided, and what is on the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.decision import POLICY, DecisionState
from services.domain.events import DecisionAction
from services.domain.experiment import ExperimentKind
from services.storage.counting_totals import CountingTotals, read_totals
from services.storage.tables import decisions, experiments, outbox, routes, webhook_deliveries, webhooks


class Waiting(NamedTuple):
    """Things that wait, and for how long the oldest has."""

    n: int
    oldest_seconds: float


class Decided(NamedTuple):
    """What kind of decision: about what, what, what came of it, and whether the policy made it."""

    route_key: str
    kind: ExperimentKind
    action: DecisionAction
    state: DecisionState
    by_policy: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole installation at one moment. ``deliveries`` are of webhooks that are enabled, by key."""

    routes: tuple[str, ...]
    outbox: Waiting
    decisions: Waiting
    deliveries: Mapping[str, Waiting]
    decided: Mapping[Decided, int]
    running: Mapping[ExperimentKind, int]
    books: CountingTotals


async def read_overview(connection: AsyncConnection) -> Overview:
    """Read it, within the caller's transaction."""
    return Overview(
        routes=tuple((await connection.execute(sa.select(routes.c.key).order_by(routes.c.key))).scalars()),
        outbox=await _waiting(connection, outbox.c.created_at),
        decisions=await _waiting(connection, decisions.c.decided_at, decisions.c.state == "recorded"),
        deliveries=await _deliveries(connection),
        decided=await _decided(connection),
        running=await _running(connection),
        books=await read_totals(connection),
    )


async def _waiting(
    connection: AsyncConnection, since: sa.Column[sa.DateTime], *conditions: sa.ColumnElement[bool]
) -> Waiting:
    row = (await connection.execute(sa.select(sa.func.count(), _age(since)).where(*conditions))).one()
    return Waiting(*row)


async def _deliveries(connection: AsyncConnection) -> dict[str, Waiting]:
    messages = webhook_deliveries.c
    waiting = sa.and_(messages.webhook_key == webhooks.c.key, messages.state == "waiting")
    query = (
        sa.select(webhooks.c.key, sa.func.count(messages.delivery_id), _age(messages.created_at))
        .join_from(webhooks, webhook_deliveries, waiting, isouter=True)
        .where(webhooks.c.definition["enabled"].as_boolean())
        .group_by(webhooks.c.key)
    )
    return {key: Waiting(n, seconds) for key, n, seconds in await connection.execute(query)}


async def _decided(connection: AsyncConnection) -> dict[Decided, int]:
    kind = (
        experiments.c.route_key,
        experiments.c.kind,
        decisions.c.action,
        decisions.c.state,
        (decisions.c.actor == POLICY).label("by_policy"),
    )
    of_experiment = decisions.c.experiment_id == experiments.c.experiment_id
    query = (
        sa.select(*kind, sa.func.count())
        .join_from(decisions, experiments, of_experiment)
        .group_by(*(sa.literal_column(str(place)) for place in range(1, len(kind) + 1)))
    )
    return {Decided(*row[:-1]): row[-1] for row in await connection.execute(query)}


async def _running(connection: AsyncConnection) -> dict[ExperimentKind, int]:
    query = (
        sa.select(experiments.c.kind, sa.func.count())
        .where(experiments.c.status == "running")
        .group_by(experiments.c.kind)
    )
    return {kind: n for kind, n in await connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def _age(since: sa.Column[sa.DateTime]) -> sa.ColumnElement[float]:
    seconds = sa.func.extract("epoch", sa.func.clock_timestamp() - sa.func.min(since))
    return sa.cast(sa.func.coalesce(sa.func.greatest(seconds, 0), 0), sa.Double)
