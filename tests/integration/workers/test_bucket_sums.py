"""The bucket sums are exact, whenever a worker dies between the counts and the sums."""

import asyncio
import random
from uuid import UUID

from services.domain.events import Outcome
from services.messaging.codec import encode_feedback, encode_feedback_batch
from tests.integration.workers.ab_tests import (
    Recount,
    a_report_of,
    an_outcome_of,
    define,
    partition_of,
    summed,
)
from tests.integration.workers.gateway import Gateway
from tests.integration.workers.world import World, until

NEVER = {"bucket_flush_seconds": "1000", "bucket_flush_longest_seconds": "1000"}
"""After the first flush of the sums, which is at once, the next one waits for the end of the worker."""
OFTEN = {"bucket_flush_seconds": "0.05"}


async def send(
    world: World, gateway: Gateway, experiment_id: UUID, recount: Recount, source: random.Random
) -> int:
    """Send batches, some of them twice, and reports, some of them twice; return how many outcomes are new."""
    sent = 0
    for _ in range(20):
        units = [f"unit-{source.randrange(60)}" for _ in range(8)]
        partition = partition_of(units[0], world.partitions)
        units = [unit for unit in units if partition_of(unit, world.partitions) == partition]
        batch: list[Outcome] = [
            an_outcome_of(experiment_id, unit, source.choice(["eu", "us"]), failed=source.random() < 0.3)
            for unit in units
        ]
        value = gateway.encode(gateway.take_numbers(partition, len(batch)), batch)
        report = a_report_of(
            experiment_id, units[0], f"event-{units[0]}-{source.randrange(3)}", value=source.random() < 0.5
        )
        reports = encode_feedback_batch([encode_feedback(report)])
        for _ in range(source.choice([1, 1, 2])):
            await gateway.send_record(partition, value)
            await gateway.send_record(partition, reports)
        sent += len(batch)
        for outcome in batch:
            recount.outcome(outcome)
        recount.report(report)
    return sent


async def assert_sums(world: World, experiment_id: UUID, recount: Recount) -> None:
    """The sums become what was recounted, and stay that."""
    expected = +recount.cells
    await until(lambda: summed(world, experiment_id), lambda cells: cells == expected, "the sums")


async def test_killed_between_the_counts_and_the_sums(world: World) -> None:
    """Everything is counted, next to nothing is summed, and kill -9.

    The naive ways that fail: going on where the counts end loses what the sums lack; deciding what is first
    by the stored units, which are those of the counts, finds nothing new; so do their sequence numbers.
    """
    experiment_id, recount, source = await define(world), Recount(), random.Random(1)
    worker = world.start_worker(**NEVER)
    async with world.gateway() as gateway:
        counted = await send(world, gateway, experiment_id, recount, source)
        await world.counted(counted)
        await asyncio.to_thread(worker.kill)
        lag = await world.rows(
            "SELECT sum(p.next_offset - b.next_offset) FROM partition_progress p"
            " JOIN bucket_progress b USING (topic, partition)"
        )
        assert lag[0][0] > 0
        worker = world.start_worker(**OFTEN)
        counted += await send(world, gateway, experiment_id, recount, source)
        totals = await world.counted(counted)
        await assert_sums(world, experiment_id, recount)
    assert totals.outcomes_counted == counted
    worker.raise_if_dead()


async def test_killed_again_and_again(world: World) -> None:
    """Wherever the two progresses stand, and with another worker that takes partitions over."""
    experiment_id, recount, source = await define(world), Recount(), random.Random(2)
    worker = world.start_worker(bucket_flush_seconds="0.2")
    world.keep_running(worker)
    async with world.gateway() as gateway:
        counted = 0
        for _ in range(3):
            counted += await send(world, gateway, experiment_id, recount, source)
            await world.counted(counted - 20)
            await asyncio.to_thread(worker.kill)
        world.start_worker(**OFTEN)
        counted += await send(world, gateway, experiment_id, recount, source)
        totals = await world.counted(counted)
        await assert_sums(world, experiment_id, recount)
    assert totals.outcomes_counted == counted


async def test_a_worker_that_leaves_writes_its_sums(world: World) -> None:
    """The naive way that fails: leaving with the counts written, and the sums for the next to read again."""
    experiment_id, recount, source = await define(world), Recount(), random.Random(3)
    worker = world.start_worker(**NEVER)
    async with world.gateway() as gateway:
        counted = await send(world, gateway, experiment_id, recount, source)
        await world.counted(counted)
    await asyncio.to_thread(worker.stop)
    await assert_sums(world, experiment_id, recount)
    lag = await world.rows(
        "SELECT p.partition FROM partition_progress p JOIN bucket_progress b USING (topic, partition)"
        " WHERE p.next_offset <> b.next_offset"
    )
    assert lag == []


async def test_quality_is_noticed(world: World) -> None:
    """Reports that come twice are counted once, and both are on the books."""
    experiment_id, recount, source = await define(world), Recount(), random.Random(4)
    world.start_worker(**OFTEN)
    async with world.gateway() as gateway:
        await world.counted(await send(world, gateway, experiment_id, recount, source))
        await assert_sums(world, experiment_id, recount)
    noticed = dict(
        await world.rows(
            "SELECT kind, n FROM data_quality_counts WHERE experiment_id = :id", id=experiment_id
        )
    )
    assert noticed["feedback"] == sum(
        n
        for (_, _, column, plane, _), n in recount.cells.items()
        if (column, plane) == ("yes:feedback:satisfaction", 0)
    )
    assert noticed["duplicate_feedback"] > 0
