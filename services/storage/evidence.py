"""What an evaluation reads, in one snapshot, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.allocation import Allocation
from services.domain.counts import CountTable
from services.domain.experiment import Experiment, ExperimentKind
from services.domain.restraint import Freeze
from services.storage import buckets, count_cache, experiments, freezes, phases, routes
from services.storage.buckets import BucketCache
from services.storage.count_cache import CountCache
from services.storage.phases import Phase
from services.storage.tables import evaluations, partition_progress
from services.storage.tables import experiments as experiments_table

NOT_JUDGED: ExperimentKind = "shadow"
"""A shadow serves nobody: it is looked at by its comparisons, and has no outcomes to be judged by."""


@dataclass(slots=True)
class EvidenceCache:
    """What was read so far of one experiment and phase."""

    counts: CountCache
    buckets: BucketCache
    begun: Phase | None = None

    @classmethod
    def of(cls, phase: int) -> EvidenceCache:
        """Nothing read yet."""
        return cls(CountCache(phase), BucketCache(phase))

    @property
    def phase(self) -> int:
        """The phase it is about."""
        return self.counts.phase

    @property
    def read_up_to(self) -> str | None:
        """Transactions older than this one can write nothing any more."""
        return self.counts.read_up_to


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the outcomes are counted. ``counted_at`` None: not every partition is counted yet."""

    counted_at: datetime | None
    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class EvidenceSnapshot:
    """Everything one evaluation looks at. ``now`` is the database's clock.

    ``is_news``: something was counted, or may have been, since the last look of the same cache.
    """

    now: datetime
    experiment: Experiment
    phase: Phase
    allocation: Allocation
    counts: CountTable
    buckets: BucketCache
    freshness: Freshness
    freezes: Sequence[Freeze]
    is_news: bool

    @property
    def runs(self) -> bool:
        """Whether the experiment runs, in this phase."""
        return self.experiment.status == "running" and self.phase.phase == self.experiment.phase


async def running(connection: AsyncConnection) -> list[UUID]:
    """Return the experiments that run and are evaluated: a shadow is compared, and never decided about."""
    statement = sa.select(experiments_table.c.experiment_id).where(
        experiments_table.c.status == "running", experiments_table.c.kind != "shadow"
    )
    return list((await connection.execute(statement)).scalars())


async def read(
    connection: AsyncConnection,
    experiment_id: UUID,
    *,
    topic: str,
    partitions: int,
    cache: EvidenceCache | None,
) -> tuple[EvidenceSnapshot, EvidenceCache] | None:
    """Read an experiment and what is counted in its present phase; None where it does not run.

    The connection must be in a transaction that reads one snapshot (REPEATABLE READ).
    """
    experiment = await experiments.by_id(connection, experiment_id)
    if experiment is None or experiment.status != "running" or experiment.kind == NOT_JUDGED:
        return None
    if cache is None or cache.phase != experiment.phase:
        cache = EvidenceCache.of(experiment.phase)
    return await _snapshot(connection, experiment, cache, topic, partitions), cache


async def read_phase(
    connection: AsyncConnection, experiment_id: UUID, phase: int, *, topic: str, partitions: int
) -> tuple[EvidenceSnapshot, EvidenceCache] | None:
    """Read everything that was counted in a phase, whether it runs or not; None where there is none.

    The connection must be in a transaction that reads one snapshot (REPEATABLE READ).
    """
    experiment = await experiments.by_id(connection, experiment_id)
    if experiment is None:
        return None
    cache = EvidenceCache.of(phase)
    return await _snapshot(connection, experiment, cache, topic, partitions), cache


async def _snapshot(
    connection: AsyncConnection, experiment: Experiment, cache: EvidenceCache, topic: str, partitions: int
) -> EvidenceSnapshot:
    allocation = (await routes.get(connection, experiment.route_key)).allocation
    if cache.begun is None:
        cache.begun = await _phase(connection, experiment, cache.phase)
    now, counted = await count_cache.refresh(connection, experiment.experiment_id, cache.counts)
    summed = await buckets.refresh(connection, experiment.experiment_id, cache.buckets)
    return EvidenceSnapshot(
        now=now,
        experiment=experiment,
        phase=cache.begun,
        allocation=allocation,
        counts=cache.counts.table,
        buckets=cache.buckets.seen(),
        freshness=await _freshness(connection, topic, partitions),
        freezes=await freezes.of_route(connection, experiment.route_key),
        is_news=counted or summed,
    )


async def _phase(connection: AsyncConnection, experiment: Experiment, number: int) -> Phase:
    known = await phases.of_experiment(connection, experiment.experiment_id)
    started_at = experiment.started_at or experiment.created_at
    return next((one for one in known if one.phase == number), Phase(number, None, started_at, None))


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
