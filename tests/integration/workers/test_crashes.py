"""Workers that die, and workers that wake up after they were given up."""

import asyncio
import os
import signal

import sqlalchemy as sa

from services.workers.doubt import EXIT_CODE
from tests.integration.workers.world import World, until


async def test_kill_9_under_load(world: World) -> None:
    """Killed again and again, the counts are exact in the end.

    The naive ways that fail: offsets committed to Kafka before the counts are written lose outcomes, offsets
    committed after them count outcomes twice.
    """
    worker = world.start_worker()
    world.keep_running(worker)
    async with world.gateway() as gateway:
        load = asyncio.create_task(gateway.send(2_000))
        for counted in (300, 900):
            await world.counted(counted)
            await asyncio.to_thread(worker.kill)
        await load
        await world.assert_exact(gateway)


async def test_a_zombie_writes_nothing(world: World) -> None:
    """Frozen in the middle of a flush, given up by Kafka, awake again: its flush must not count.

    The naive way that fails: a compare-and-set on the offset alone passes as soon as the new owner happens to
    stand where the zombie stood; without any, all that the zombie held is counted twice.
    """
    zombie = world.start_worker()
    await world.counting()
    async with world.gateway() as gateway:
        async with world.engine.connect() as holding:
            await holding.execute(sa.text("SELECT 1 FROM partition_progress FOR UPDATE"))
            await gateway.send(100)
            await until(
                lambda: world.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), bool, "the flush to wait"
            )
            os.kill(zombie.pid, signal.SIGSTOP)
        heir = world.start_worker()
        await gateway.send(100)
        await world.counted(200)
        os.kill(zombie.pid, signal.SIGCONT)
        assert await asyncio.to_thread(zombie.wait, 20.0) == EXIT_CODE
        assert "claimed by another worker" in zombie.log_of_this_run()
        await gateway.send(100)
        await world.assert_exact(gateway)
    heir.raise_if_dead()
