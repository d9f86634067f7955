"""Experiments: definitions and where they stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.ab_test import ABTestDefinition
from services.domain.allocation import TestSplit
from services.domain.canary import CanaryDefinition
from services.domain.errors import Conflict, NotFound
from services.domain.experiment import (
    BlueGreenDefinition,
    Conclusion,
    Definition,
    Experiment,
    ExperimentKind,
    ExperimentStatus,
)
from services.domain.shadow import ShadowDefinition
from services.storage import phases
from services.storage.paging import Listed, Page, listed
from services.storage.tables import experiments

LIVE: tuple[ExperimentStatus, ...] = ("running", "paused")
"""The statuses in which an experiment has a part of its route's traffic, or keeps one for later."""

_DEFINITIONS: dict[ExperimentKind, type[Definition]] = {
    "canary": CanaryDefinition,
    "ab_test": ABTestDefinition,
    "shadow": ShadowDefinition,
    "blue_green": BlueGreenDefinition,
}


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


async def redefine(connection: AsyncConnection, draft: Experiment) -> None:
    """Put another definition in the place of a draft's."""
    await connection.execute(
        _update(
            draft.experiment_id,
            definition=msgspec.to_builtins(draft.definition),
            control=draft.control,
        )
    )


async def delete(connection: AsyncConnection, experiment_id: UUID) -> None:
    """Delete a draft. Nothing was counted for it, and nothing decided."""
    await connection.execute(sa.delete(experiments).where(experiments.c.experiment_id == experiment_id))


async def is_taken(connection: AsyncConnection, key: str) -> bool:
    """Say whether there is an experiment of that key."""
    return bool(await connection.scalar(sa.select(sa.exists().where(experiments.c.key == key))))


async def by_id(connection: AsyncConnection, experiment_id: UUID) -> Experiment | None:
    """Return the experiment of that identifier, or None."""
    query = sa.select(experiments).where(experiments.c.experiment_id == experiment_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _experiment(row)


async def by_ids(connection: AsyncConnection, experiment_ids: Collection[UUID]) -> dict[UUID, Experiment]:
    """Return those of the experiments that exist."""
    if not experiment_ids:
        return {}
    query = sa.select(experiments).where(experiments.c.experiment_id.in_(experiment_ids))
    found = [_experiment(row) for row in await connection.execute(query)]
    return {experiment.experiment_id: experiment for experiment in found}


async def page(
    connection: AsyncConnection,
    asked: Page,
    *,
    route_key: str | None = None,
    kind: ExperimentKind | None = None,
    status: ExperimentStatus | None = None,
) -> Listed[Experiment]:
    """Return a page of the experiments, newest first: of one route, kind or status, or of all."""
    query = sa.select(experiments)
    wanted = {experiments.c.route_key: route_key, experiments.c.kind: kind, experiments.c.status: status}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    order = (experiments.c.created_at, experiments.c.experiment_id)
    return await listed(connection, query, asked, _experiment, *order, newest_first=True)


async def live(connection: AsyncConnection, *, route_key: str | None = None) -> list[Experiment]:
    """Return the experiments that run or are paused, of one route or of all."""
    query = sa.select(experiments).where(experiments.c.status.in_(LIVE)).order_by(experiments.c.key)
    if route_key is not None:
        query = query.where(experiments.c.route_key == route_key)
    return [_experiment(row) for row in await connection.execute(query)]


async def start(
    connection: AsyncConnection, experiment_id: UUID, *, control: str, split: TestSplit | None = None
) -> None:
    """Note that the experiment runs from now on, against the variant that is stable now."""
    now = sa.func.now()
    moved = _moved(experiment_id, status="running", control=control, started_at=now, step_started_at=now)
    await connection.execute(phases.beginning(moved, split))


async def deploy(connection: AsyncConnection, experiment_id: UUID, *, control: str) -> None:
    """Note that the treatment is deployed from now on, beside the variant that is stable now."""
    now = sa.func.now()
    moved = _moved(
        experiment_id,
        status="running",
        stage="deployed",
        control=control,
        started_at=now,
        step_started_at=now,
    )
    await connection.execute(phases.beginning(moved, None))


async def begin_phase(connection: AsyncConnection, experiment_id: UUID, definition: ABTestDefinition) -> None:
    """Let an A/B test go on as it is defined now, in a new phase: what was counted before stays apart."""
    moved = _moved(
        experiment_id,
        phase=experiments.c.phase + 1,
        definition=msgspec.to_builtins(definition),
        control=definition.control,
        step_started_at=sa.func.now(),
    )
    begin = phases.beginning(moved, TestSplit.of(experiment_id, definition))
    await connection.execute(begin.add_cte(phases.ending(experiment_id)))


async def begin_watch(connection: AsyncConnection, experiment_id: UUID) -> None:
    """Note that the treatment is promoted and watched from now on, in a phase of its own."""
    moved = _moved(
        experiment_id,
        phase=experiments.c.phase + 1,
        status="running",
        stage="watch",
        step_started_at=sa.func.now(),
    )
    begin = phases.beginning(moved, None)
    await connection.execute(begin.add_cte(phases.ending(experiment_id)))


async def approve(connection: AsyncConnection, experiment_id: UUID, allocation_version: int) -> None:
    """Note that a person agreed to what comes after this allocation."""
    await connection.execute(_update(experiment_id, approved_version=allocation_version))


async def set_status(connection: AsyncConnection, experiment_id: UUID, status: ExperimentStatus) -> None:
    """Pause the experiment, or let it run again."""
    await connection.execute(_update(experiment_id, status=status))


async def begin_step(connection: AsyncConnection, experiment_id: UUID) -> None:
    """Note that the step the experiment is at began now."""
    await connection.execute(_update(experiment_id, step_started_at=sa.func.now()))


async def conclude(connection: AsyncConnection, experiment_id: UUID, conclusion: Conclusion) -> None:
    """Stop the experiment, and its phase, for good."""
    stop = _update(experiment_id, status="stopped", conclusion=conclusion, stopped_at=sa.func.now())
    await connection.execute(stop.add_cte(phases.ending(experiment_id)))


def _update(experiment_id: UUID, **values: object) -> sa.Update:
    return sa.update(experiments).where(experiments.c.experiment_id == experiment_id).values(**values)


def _moved(experiment_id: UUID, **values: object) -> sa.CTE:
    columns = experiments.c
    return _update(experiment_id, **values).returning(columns.experiment_id, columns.phase).cte("moved")


def _experiment(row: sa.Row[Any]) -> Experiment:
    return Experiment(
        experiment_id=row.experiment_id,
        key=row.key,
        route_key=row.route_key,
        kind=row.kind,
        status=row.status,
        conclusion=row.conclusion,
        definition=msgspec.convert(row.definition, _DEFINITIONS[row.kind]),
        control=row.control,
        phase=row.phase,
        created_at=row.created_at,
        started_at=row.started_at,
        step_started_at=row.step_started_at,
        stopped_at=row.stopped_at,
        stage=row.stage,
        approved_version=row.approved_version,
    )
