"""Health checks of slots: what was expected and what came, every time they were run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.health_check import CheckResult, HealthRun
from services.storage.identifiers import new_id
from services.storage.tables import health_checks

_COLUMNS = tuple(health_checks.c[name] for name in HealthRun.__struct_fields__)


async def record(connection: AsyncConnection, experiment_id: UUID, run: HealthRun) -> None:
    """Keep a run."""
    fields = msgspec.structs.asdict(run) | {"checks": msgspec.to_builtins(run.checks)}
    row = {"health_check_id": new_id(), "experiment_id": experiment_id, **fields}
    await connection.execute(sa.insert(health_checks).values(row))


async def of_experiment(
    connection: AsyncConnection, experiment_id: UUID, *, variant: str | None = None, limit: int = 20
) -> list[HealthRun]:
    """Return the runs of an experiment, newest first, of one variant or of all."""
    query = sa.select(*_COLUMNS).where(health_checks.c.experiment_id == experiment_id)
    if variant is not None:
        query = query.where(health_checks.c.variant == variant)
    newest_first = query.order_by(
        health_checks.c.checked_at.desc(), health_checks.c.health_check_id.desc()
    ).limit(limit)
    return [_run(row) for row in await connection.execute(newest_first)]


async def newest(connection: AsyncConnection, experiment_id: UUID, variant: str) -> HealthRun | None:
    """Return the newest run of a variant, or None before its first."""
    runs = await of_experiment(connection, experiment_id, variant=variant, limit=1)
    return runs[0] if runs else None


def _run(row: sa.Row[Any]) -> HealthRun:
    fields = {column.name: getattr(row, column.name) for column in _COLUMNS}
    return HealthRun(**fields | {"checks": msgspec.convert(row.checks, tuple[CheckResult, ...])})
