"""What an evaluation reads, in one snapshot, and what it leaves behind.

Rows of ``experiment_counts`` are stamped with the transaction that wrote them last. A reader remembers the
oldest transaction that was still under way when it read, and next time reads only rows stamped since: what an
experiment counted in its past is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.allocation import Allocation
from services.domain.evaluation import CountRow
from services.domain.events import Role
from services.domain.experiment import Experiment
from services.storage import experiments, routes
from services.storage.tables import evaluations, experiment_counts, partition_progress
from services.storage.tables import experiments as experiments_table

CountKey = tuple[int, int, str]
"""(tick, treatment share, role)."""

_ROLES = {role.label: role for role in Role}


@dataclass(slots=True)
class CountCache:
    """The counts of one experiment and phase as they were read so far."""

    phase: int
    rows: dict[CountKey, CountRow] = field(default_factory=dict)
    read_up_to: str | None = None
    """Transactions older than this one can write nothing any more."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the outcomes are counted. ``counted_at`` None: not every partition is counted yet."""

    counted_at: datetime | None
    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class EvidenceSnapshot:
    """Everything one evaluation looks at. ``now`` is the database's clock."""

    now: datetime
    experiment: Experiment
    allocation: Allocation
    counts: tuple[CountRow, ...]
    freshness: Freshness


async def running(connection: AsyncConnection) -> list[UUID]:
    """Return the experiments that run."""
    statement = sa.select(experiments_table.c.experiment_id).where(experiments_table.c.status == "running")
    return list((await connection.execute(statement)).scalars())


async def read(
    connection: AsyncConnection,
    experiment_id: UUID,
    *,
    topic: str,
    partitions: int,
    cache: CountCache | None,
) -> tuple[EvidenceSnapshot, CountCache] | None:
    """Read an experiment and its counts; None where it does not run.

    The connection must be in a transaction that reads one snapshot (REPEATABLE READ).
    """
    experiment = await experiments.by_id(connection, experiment_id)
    if experiment is None or experiment.status != "running":
        return None
    allocation = (await routes.get(connection, experiment.route_key)).allocation
    if cache is None or cache.phase != experiment.phase:
        cache = CountCache(experiment.phase)
    now = await refresh(connection, experiment_id, cache)
    freshness = await _freshness(connection, topic, partitions)
    counts = tuple(cache.rows[key] for key in sorted(cache.rows))
    return EvidenceSnapshot(now, experiment, allocation, counts, freshness), cache


async def refresh(connection: AsyncConnection, experiment_id: UUID, cache: CountCache) -> datetime:
    """Bring the cache up to date with the snapshot; return the database's time."""
    counts = experiment_counts.c
    statement = sa.select(
        counts.tick,
        counts.treatment_share_bp,
        counts.role,
        counts.requests,
        counts.errors,
        counts.first_errors,
        counts.content_filters,
        counts.first_content_filters,
        counts.first_requests,
        counts.first_request_errors,
    ).where(counts.experiment_id == experiment_id, counts.phase == cache.phase)
    if cache.read_up_to is not None:
        statement = statement.where(
            counts.stamp >= sa.text("CAST(:read_up_to AS xid8)").bindparams(read_up_to=cache.read_up_to)
        )
    for tick, share_bp, role, *numbers in await connection.execute(statement):
        cache.rows[tick, share_bp, role] = CountRow(tick, share_bp, _ROLES[role], *numbers)
    horizon = sa.text("SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text), now()")
    cache.read_up_to, now = (await connection.execute(horizon)).one()
    return now  # type: ignore[no-any-return]


async def _freshness(connection: AsyncConnection, topic: str, partitions: int) -> Freshness:
    progress = partition_progress.c
    rows = (
        await connection.execute(
            sa.select(progress.partition, progress.next_offset, progress.caught_up_at).where(
                progress.topic == topic
            )
        )
    ).all()
    offsets = {partition: next_offset for partition, next_offset, _ in rows}
    times = [caught_up_at for _, _, caught_up_at in rows if caught_up_at is not None]
    return Freshness(min(times) if len(times) == partitions else None, offsets)


async def record_evaluation(
    connection: AsyncConnection,
    experiment_id: UUID,
    *,
    phase: int,
    rule: str,
    sentence: str,
    body: Mapping[str, Any],
) -> None:
    """Keep the newest evaluation of an experiment, for whoever wants to know what it is waiting for."""
    insert = pg.insert(evaluations).values(
        experiment_id=experiment_id, phase=phase, rule=rule, sentence=sentence, body=body
    )
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=[evaluations.c.experiment_id],
            set_={
                "phase": insert.excluded.phase,
                "rule": insert.excluded.rule,
                "sentence": insert.excluded.sentence,
                "body": insert.excluded.body,
                "evaluated_at": sa.func.now(),
            },
        )
    )
