"""Reading results back: the newest ones, and those that were seen at a moment in the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.bucket_table import WHOLE
from services.domain.results import ResultRow
from services.storage.tables import experiment_results as newest_results
from services.storage.tables import experiment_results_history as past_results

_COLUMNS = [field.name for field in msgspec.structs.fields(ResultRow)]


@dataclass(frozen=True, slots=True)
class ResultSet:
    """The results of one phase and segment as of one moment; ``recorded_at`` is set for past ones.

    ``decision_id`` is set for those that were kept at a decision.
    """

    rows: tuple[ResultRow, ...]
    as_of: datetime
    recorded_at: datetime | None = None
    decision_id: UUID | None = None


async def newest(
    connection: AsyncConnection, experiment_id: UUID, *, phase: int, segment: str
) -> ResultSet | None:
    """Return the newest results, or None before the first."""
    query = _of(newest_results, experiment_id, phase).where(newest_results.c.segment == segment)
    return _result_set((await connection.execute(query)).all())


async def recorded(
    connection: AsyncConnection, experiment_id: UUID, *, phase: int, segment: str, at: datetime
) -> ResultSet | None:
    """Return the results that had last been recorded at that moment, or None before the first."""
    results = past_results.c
    last = (
        sa.select(sa.func.max(results.recorded_at))
        .where(results.experiment_id == experiment_id, results.phase == phase, results.recorded_at <= at)
        .scalar_subquery()
    )
    query = _of(past_results, experiment_id, phase).where(
        results.segment == segment, results.recorded_at == last
    )
    return _result_set((await connection.execute(query)).all())


async def segments(connection: AsyncConnection, experiment_id: UUID) -> list[str]:
    """Return the segments that the experiment has results of, as ``attribute=value``."""
    results = newest_results.c
    query = (
        sa.select(results.segment)
        .where(results.experiment_id == experiment_id, results.segment != WHOLE)
        .distinct()
        .order_by(results.segment)
    )
    return list(await connection.scalars(query))


def _of(table: sa.Table, experiment_id: UUID, phase: int) -> sa.Select[Any]:
    return (
        sa.select(table)
        .where(table.c.experiment_id == experiment_id, table.c.phase == phase)
        .order_by(table.c.metric, table.c.statistic, table.c.variant, table.c.method)
    )


def _result_set(found: Any) -> ResultSet | None:
    if not found:
        return None
    rows = tuple(ResultRow(**{name: getattr(row, name) for name in _COLUMNS}) for row in found)
    recorded_at, decision_id = (getattr(found[0], name, None) for name in ("recorded_at", "decision_id"))
    return ResultSet(rows, max(row.as_of for row in found), recorded_at, decision_id)
