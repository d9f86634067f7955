"""Counts equal what was sent, whoever counts them, and whenever workers come and go in order."""

import asyncio
import signal

import sqlalchemy as sa

from tests.integration.workers.world import World, until


async def test_every_outcome_is_counted_once(world: World) -> None:
    """The plain case. The naive way that fails: counting per batch of a gateway's choosing."""
    worker = world.start_worker()
    async with world.gateway() as gateway:
        await gateway.send(1_000)
        await world.assert_exact(gateway)
    worker.raise_if_dead()


async def test_a_second_worker_takes_its_part_under_load(world: World) -> None:
    """A rebalance hands over in order: nobody has to die of it, and nothing is counted twice or left out."""
    first = world.start_worker()
    await world.counting()
    async with world.gateway() as gateway:
        load = asyncio.create_task(gateway.send(3_000))
        await world.counted(100)
        second = world.start_worker()
        await until(world.owners, lambda owners: len(owners) == 2, "both workers to own partitions")
        await load
        await world.assert_exact(gateway)
    first.raise_if_dead()
    second.raise_if_dead()


async def test_a_handover_waits_for_the_flush_that_is_under_way(world: World) -> None:
    """Postgres is slow while another worker joins.

    The naive way that fails: leaving unwritten counts in flight when partitions are revoked. They meet the
    next claim, and every rebalance at a bad moment ends a worker.
    """
    first = world.start_worker()
    await world.counting()
    async with world.gateway() as gateway:
        async with world.engine.connect() as holding:
            await holding.execute(sa.text("SELECT 1 FROM partition_progress FOR UPDATE"))
            await gateway.send(100)
            second = world.start_worker()

            async def complaints() -> int:
                return first.log_of_this_run().count("not written yet")

            await until(complaints, bool, "the flush to give up on the lock once")
        await until(world.owners, lambda owners: len(owners) == 2, "both workers to own partitions")
        await world.assert_exact(gateway)
    first.raise_if_dead()
    second.raise_if_dead()


async def test_a_worker_that_is_told_to_stop_leaves_nothing_behind(world: World) -> None:
    """SIGTERM under load: what it read is written, and the other goes on at once.

    The naive ways that fail: Faust's `take` loses the batch it gathered, `noack_take` hangs at SIGTERM.
    """
    leaving, staying = world.start_worker(), world.start_worker()
    await until(world.owners, lambda owners: len(owners) == 2, "both workers to own partitions")
    async with world.gateway() as gateway:
        load = asyncio.create_task(gateway.send(3_000))
        await world.counted(300)
        leaving.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(leaving.wait, 20.0) == 0
        await load
        await world.assert_exact(gateway)
        assert await world.owners() == {staying.name}
    staying.raise_if_dead()
