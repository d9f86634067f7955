"""The evidence lease runs only while every partition is really counted."""

import time
from datetime import datetime

import sqlalchemy as sa

from services.domain.canary import CanaryDefinition
from services.messaging.topics import TopicNames
from services.storage import evidence, experiments
from tests.integration.workers.canary import leases, start_canary
from tests.integration.workers.world import World, until

SHORT_LEASE = CanaryDefinition(treatment="treatment", lease_limit_seconds=6.0)


async def test_a_lease_is_renewed_while_everything_is_counted(world: World) -> None:
    """Also without any traffic: the log's end is reached."""
    world.start_worker()
    experiment = await start_canary(world, SHORT_LEASE)

    async def times() -> list[float]:
        return [lease.measured_at for lease in await leases(world, experiment.experiment_id)]

    found = await until(times, lambda found: len(set(found)) >= 3, "three leases")
    assert found == sorted(found)
    assert time.time() - found[-1] < 5.0


async def test_a_lease_stands_still_while_a_partition_is_not_counted(world: World) -> None:
    """The naive way that fails: a lease that says that a worker lives, not that it counts."""
    world.start_worker()
    experiment = await start_canary(world, SHORT_LEASE)
    await until(lambda: leases(world, experiment.experiment_id), bool, "a lease")
    async with world.engine.connect() as holding:
        await holding.execute(sa.text("SELECT 1 FROM partition_progress WHERE partition = 0 FOR UPDATE"))
        blind_since = time.time()
        await until(
            lambda: world.rows("SELECT body['evidence_age_seconds']::float FROM evaluations"),
            lambda rows: rows[0][0] > 4.0,
            "the evidence to grow old",
        )
        during = await leases(world, experiment.experiment_id)
    assert max(lease.measured_at for lease in during) <= blind_since
    await until(
        lambda: leases(world, experiment.experiment_id),
        lambda found: found[-1].measured_at > blind_since,
        "the lease to run again",
    )


async def test_evidence_is_of_no_age_while_a_partition_was_never_counted(world: World) -> None:
    """The naive way that fails: the oldest of the partitions that somebody counts."""
    world.start_worker()
    await world.counting()
    experiment = await start_canary(world)
    topic = TopicNames(world.kafka.topic_prefix).outcomes

    async def counted_at(partitions: int) -> datetime | None:
        async with world.engine.connect() as connection:
            found = await evidence.read(
                connection, experiment.experiment_id, topic=topic, partitions=partitions, cache=None
            )
        assert found is not None
        return found[0].freshness.counted_at

    assert await counted_at(world.partitions) is not None
    assert await counted_at(world.partitions + 1) is None


async def test_a_paused_experiment_has_no_lease_and_gets_one_when_it_resumes(world: World) -> None:
    """Nobody is exposed while it is paused."""
    world.start_worker()
    experiment = await start_canary(world, SHORT_LEASE)
    await until(lambda: leases(world, experiment.experiment_id), bool, "a lease")
    async with world.engine.begin() as connection:
        await experiments.set_status(connection, experiment.experiment_id, "paused")
        paused_at = time.time()
    other = await start_canary(world, SHORT_LEASE)
    await until(lambda: leases(world, other.experiment_id), lambda found: len(found) >= 3, "others' leases")
    while_paused = await leases(world, experiment.experiment_id)
    assert max(lease.measured_at for lease in while_paused) <= paused_at + 1.0
    async with world.engine.begin() as connection:
        await experiments.set_status(connection, experiment.experiment_id, "running")
    await until(
        lambda: leases(world, experiment.experiment_id),
        lambda found: found[-1].measured_at > paused_at + 1.0,
        "the lease to come back",
    )
