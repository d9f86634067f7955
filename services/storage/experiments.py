"""Experiments: definitions and where they stand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import Conflict, NotFound
from services.domain.experiment import CanaryDefinition, Conclusion, Experiment, ExperimentStatus
from services.storage.tables import experiments

LIVE: tuple[ExperimentStatus, ...] = ("running", "paused")
"""The statuses in which an experiment has a part of its route's traffic, or keeps one for later."""


async def create(connection: AsyncConnection, experiment: Experiment) -> None:
    """Add an experiment. Raises Conflict where the key is taken."""
    values = {
        "experiment_id": experiment.experiment_id,
        "key": experiment.key,
        "route_key": experiment.route_key,
        "kind": experiment.kind,
        "status": experiment.status,
        "definition": msgspec.to_builtins(experiment.definition),
        "control": experiment.control,
        "phase": experiment.phase,
        "created_at": experiment.created_at,
    }
    added = insert(experiments).values(values).on_conflict_do_nothing().returning(experiments.c.key)
    if await connection.scalar(added) is None:
        raise Conflict(f"an experiment {experiment.key!r} exists already; choose another key")


async def get(connection: AsyncConnection, key: str) -> Experiment:
    """Return the experiment of that key."""
    query = sa.select(experiments).where(experiments.c.key == key)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"there is no experiment {key!r}; GET /v1/experiments lists them")
    return _experiment(row)


async def by_id(connection: AsyncConnection, experiment_id: UUID) -> Experiment | None:
    """Return the experiment of that identifier, or None."""
    query = sa.select(experiments).where(experiments.c.experiment_id == experiment_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _experiment(row)


async def listing(
    connection: AsyncConnection,
    *,
    route_key: str | None = None,
    status: ExperimentStatus | None = None,
    limit: int = 100,
) -> list[Experiment]:
    """Return experiments, newest first, of one route or status or of all."""
    query = sa.select(experiments).order_by(experiments.c.created_at.desc(), experiments.c.key).limit(limit)
    if route_key is not None:
        query = query.where(experiments.c.route_key == route_key)
    if status is not None:
        query = query.where(experiments.c.status == status)
    return [_experiment(row) for row in await connection.execute(query)]


async def live(connection: AsyncConnection, *, route_key: str | None = None) -> list[Experiment]:
    """Return the experiments that run or are paused, of one route or of all."""
    query = sa.select(experiments).where(experiments.c.status.in_(LIVE)).order_by(experiments.c.key)
    if route_key is not None:
        query = query.where(experiments.c.route_key == route_key)
    return [_experiment(row) for row in await connection.execute(query)]


async def start(connection: AsyncConnection, experiment_id: UUID, *, control: str) -> None:
    """Note that the experiment runs from now on, against the variant that is stable now."""
    now = sa.func.now()
    await _update(
        connection, experiment_id, status="running", control=control, started_at=now, step_started_at=now
    )


async def set_status(connection: AsyncConnection, experiment_id: UUID, status: ExperimentStatus) -> None:
    """Pause the experiment, or let it run again."""
    await _update(connection, experiment_id, status=status)


async def begin_step(connection: AsyncConnection, experiment_id: UUID) -> None:
    """Note that the step the experiment is at began now."""
    await _update(connection, experiment_id, step_started_at=sa.func.now())


async def conclude(connection: AsyncConnection, experiment_id: UUID, conclusion: Conclusion) -> None:
    """Stop the experiment for good."""
    await _update(
        connection, experiment_id, status="stopped", conclusion=conclusion, stopped_at=sa.func.now()
    )


async def _update(connection: AsyncConnection, experiment_id: UUID, **values: object) -> None:
    await connection.execute(
        sa.update(experiments).where(experiments.c.experiment_id == experiment_id).values(**values)
    )


def _experiment(row: sa.Row[Any]) -> Experiment:
    return Experiment(
        experiment_id=row.experiment_id,
        key=row.key,
        route_key=row.route_key,
        kind=row.kind,
        status=row.status,
        conclusion=row.conclusion,
        definition=msgspec.convert(row.definition, CanaryDefinition),
        control=row.control,
        phase=row.phase,
        created_at=row.created_at,
        started_at=row.started_at,
        step_started_at=row.step_started_at,
        stopped_at=row.stopped_at,
    )
