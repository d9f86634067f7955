"""Decisions: recorded once, applied or dropped once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.decision import Decision, DecisionState
from services.domain.events import DecisionAction
from services.storage.paging import Listed, Page, listed
from services.storage.tables import decisions

_FIELDS = [field.name for field in fields(Decision)]


async def record(connection: AsyncConnection, decision: Decision) -> bool:
    """Record a decision; say False where the like was recorded already.

    There is one rollback per phase, and one advance or promotion per allocation. The caller that is told
    True publishes ``decision.event`` through the outbox in the same transaction.
    """
    values = {name: getattr(decision, name) for name in _FIELDS}
    statement = insert(decisions).values(values).on_conflict_do_nothing().returning(decisions.c.decision_id)
    return await connection.scalar(statement) is not None


async def get(connection: AsyncConnection, decision_id: UUID) -> Decision | None:
    """Return a decision, or None."""
    query = sa.select(decisions).where(decisions.c.decision_id == decision_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _decision(row)


async def lock_recorded(connection: AsyncConnection, decision_id: UUID) -> Decision | None:
    """Return a decision nothing has come of yet, held until the transaction ends; None otherwise."""
    query = (
        sa.select(decisions)
        .where(decisions.c.decision_id == decision_id, decisions.c.state == "recorded")
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _decision(row)


async def standing(connection: AsyncConnection, decision: Decision) -> Decision | None:
    """Return the recorded decision that stands in the way of this one, if any."""
    same = (
        [decisions.c.action == "rollback", decisions.c.phase == decision.phase]
        if decision.action == "rollback"
        else [
            decisions.c.action.in_(("advance", "promote")),
            decisions.c.allocation_version == decision.allocation_version,
            sa.not_(decisions.c.released),
        ]
    )
    query = sa.select(decisions).where(decisions.c.experiment_id == decision.experiment_id, *same)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _decision(row)


async def recorded(connection: AsyncConnection) -> Sequence[UUID]:
    """Return the decisions nothing has come of yet, oldest first."""
    query = (
        sa.select(decisions.c.decision_id)
        .where(decisions.c.state == "recorded")
        .order_by(decisions.c.decided_at, decisions.c.decision_id)
    )
    return (await connection.execute(query)).scalars().all()


async def of_experiment(connection: AsyncConnection, experiment_id: UUID) -> list[Decision]:
    """Return the experiment's decisions, newest first."""
    query = (
        sa.select(decisions)
        .where(decisions.c.experiment_id == experiment_id)
        .order_by(decisions.c.decided_at.desc(), decisions.c.decision_id.desc())
    )
    return [_decision(row) for row in await connection.execute(query)]


async def page(
    connection: AsyncConnection,
    asked: Page,
    *,
    experiment_id: UUID | None = None,
    action: DecisionAction | None = None,
    state: DecisionState | None = None,
) -> Listed[Decision]:
    """Return a page of the decisions, newest first: of one experiment, action or state, or of all."""
    query = sa.select(decisions)
    columns = decisions.c
    wanted = {columns.experiment_id: experiment_id, columns.action: action, columns.state: state}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    order = (columns.decided_at, columns.decision_id)
    return await listed(connection, query, asked, _decision, *order, newest_first=True)


async def mark_applied(connection: AsyncConnection, decision_id: UUID, version: int) -> float:
    """Note which allocation the decision led to; return for how many seconds it had waited for that."""
    # clock_timestamp(): now() is the transaction's start, before it waited for the route.
    applied = (
        sa.update(decisions)
        .where(decisions.c.decision_id == decision_id)
        .values(state="applied", applied_version=version, applied_at=sa.func.clock_timestamp())
        .returning(decisions.c.applied_at - decisions.c.decided_at)
    )
    waited: timedelta = (await connection.execute(applied)).scalar_one()
    return waited.total_seconds()


async def mark_dropped(
    connection: AsyncConnection, decision_id: UUID, reason: str, *, released: bool = False
) -> None:
    """Note why nothing came of the decision. ``released``: the like of it may be recorded again."""
    dropped = {"state": "dropped", "state_reason": reason, "released": released}
    await connection.execute(
        sa.update(decisions).where(decisions.c.decision_id == decision_id).values(dropped)
    )


def _decision(row: sa.Row[Any]) -> Decision:
    return Decision(**{name: getattr(row, name) for name in _FIELDS})
