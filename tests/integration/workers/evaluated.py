"""An A/B test or a canary in the database with everything counted of it, and who evaluates it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.ab_test import ABTestDefinition
from services.domain.allocation import TestSplit
from services.domain.bucket_table import WHOLE, BucketTable
from services.domain.canary import CanaryDefinition
from services.domain.counts import CountRow
from services.domain.experiment import Experiment
from services.storage import experiments, phases, routes
from services.storage.buckets import STORED
from services.storage.counting import ExperimentCount, Flush, write_values
from services.storage.identifiers import new_id
from services.storage.tables import bucket_sums, partition_progress
from services.workers.watch import Watch
from tests.unit.domain.sums import Variant, definition, two

TOPIC = "outcomes.v1"
PARTITIONS = 4
CHEAPER = definition(on_winner="promote")


@dataclass
class Leases:
    """Stands in for the lessor: remembers whose lease was renewed."""

    renewed: list[UUID] = field(default_factory=list)

    def renew(self, experiment_id: UUID, measured_at: datetime, limit_seconds: float) -> None:
        """Note it."""
        assert measured_at.tzinfo is not None
        assert limit_seconds > 0
        self.renewed.append(experiment_id)

    def lapse(self, experiment_id: UUID) -> None:
        """Forget it."""
        self.renewed = [one for one in self.renewed if one != experiment_id]


async def start(engine: AsyncEngine, defined: ABTestDefinition | CanaryDefinition) -> Experiment:
    """Start an experiment on a route of its own; every partition is counted."""
    is_test = isinstance(defined, ABTestDefinition)
    identifier, key = new_id(), f"experiment-{new_id()}"
    experiment = Experiment(
        experiment_id=identifier,
        key=key,
        route_key=key,
        kind="ab_test" if is_test else "canary",
        status="draft",
        conclusion=None,
        definition=defined,
        control="a",
        phase=1,
        created_at=datetime.now(UTC),
    )
    async with engine.begin() as connection:
        route = await routes.create(connection, key, stable="a", unit_fallback="request", actor="test")
        await experiments.create(connection, experiment)
        if isinstance(defined, ABTestDefinition):
            split = TestSplit.of(identifier, defined)
            await experiments.start(connection, identifier, control="a", split=split)
            await routes.reallocate(
                connection, route.allocation.with_test(split), actor="test", reason="test"
            )
        else:
            await experiments.start(connection, identifier, control="a")
            allocation = route.allocation.with_experiment(identifier, defined.treatment, 5_000)
            await routes.reallocate(connection, allocation, actor="test", reason="test")
    await be_fresh(engine)
    return experiment


async def be_fresh(engine: AsyncEngine) -> None:
    """Say that every partition is counted up to now."""
    async with engine.begin() as connection:
        await connection.execute(sa.delete(partition_progress))
        values = [
            {"topic": TOPIC, "partition": partition, "next_offset": 10, "caught_up_at": sa.func.now()}
            for partition in range(PARTITIONS)
        ]
        for row in values:
            await connection.execute(sa.insert(partition_progress).values(row))


async def count(
    engine: AsyncEngine, experiment: Experiment, variants: list[Variant], *, phase: int = 1
) -> None:
    """Write all counts and sums of these variants."""
    rows = [row for index, variant in enumerate(variants) for row in variant.rows(index, 5_000)]
    await count_rows(engine, experiment.experiment_id, rows, phase=phase)
    for index, variant in enumerate(variants):
        await write_sums(engine, experiment.experiment_id, index, variant.table(), phase=phase)


async def count_rows(
    engine: AsyncEngine, experiment_id: UUID, rows: list[CountRow], *, phase: int = 1
) -> None:
    """Add rows of counts."""
    counts = [
        ExperimentCount(
            experiment_id,
            phase,
            row.tick,
            row.treatment_share_bp,
            row.role.label,
            row.variant_index,
            row.requests,
            row.errors,
            row.first_errors,
            row.content_filters,
            row.first_content_filters,
            row.first_requests,
            row.first_request_errors,
            0,
        )
        for row in rows
    ]
    async with engine.begin() as connection:
        await write_values(connection, Flush(TOPIC, experiments=counts))


async def write_sums(
    engine: AsyncEngine,
    experiment_id: UUID,
    index: int,
    table: BucketTable,
    *,
    phase: int = 1,
    segment: str = WHOLE,
) -> None:
    """Write the sums of a variant as the owners of the partitions would."""
    async with engine.begin() as connection:
        key = (bucket_sums.c.experiment_id == experiment_id, bucket_sums.c.phase == phase)
        await connection.execute(
            sa.delete(bucket_sums).where(
                *key, bucket_sums.c.variant_index == index, bucket_sums.c.segment == segment
            )
        )
        for partition in range(PARTITIONS):
            await connection.execute(
                sa.insert(bucket_sums).values(
                    experiment_id=experiment_id,
                    phase=phase,
                    variant_index=index,
                    segment=segment,
                    partition=partition,
                    partitions=PARTITIONS,
                    columns=list(table.columns),
                    sums=table.sums[:, :, partition::PARTITIONS].astype(STORED).tobytes(),
                )
            )


def watch(engine: AsyncEngine, experiment: Experiment, leases: Leases | None = None) -> Watch:
    """Evaluate the experiment in this process."""
    lessor = leases or Leases()
    return Watch(
        experiment.experiment_id,
        engine,
        lessor,  # type: ignore[arg-type]
        topic=TOPIC,
        partitions=PARTITIONS,
    )


async def decided(engine: AsyncEngine) -> tuple[Experiment, UUID]:
    """A test whose winner was promoted by the policy, and that decision."""
    experiment = await start(engine, CHEAPER)
    await count(engine, experiment, two(cost=0.8))
    await be_fresh(engine)
    await watch(engine, experiment).evaluate()
    async with engine.connect() as connection:
        found = await connection.execute(sa.text("SELECT decision_id FROM decisions"))
        return experiment, found.scalar_one()


async def stop(engine: AsyncEngine, experiment: Experiment) -> None:
    """Stop the experiment for good."""
    async with engine.begin() as connection:
        await experiments.conclude(connection, experiment.experiment_id, "inconclusive")
        assert (await phases.of_experiment(connection, experiment.experiment_id))[-1].ended_at is not None
