"""What gateways send twice, and what they never send."""

from tests.integration.workers.gateway import an_outcome
from tests.integration.workers.world import World, until


async def test_repeats_are_dropped_and_gaps_are_counted(world: World) -> None:
    """A resend has a new offset: only the gateway's own numbers show that it is one.

    The naive way that fails: exactly once by offsets alone counts a resent batch twice.
    """
    world.start_worker()
    async with world.gateway() as gateway:
        outcomes = [an_outcome(f"unit-{number}") for number in range(4)]
        first = gateway.encode(gateway.take_numbers(0, 4), outcomes)
        await gateway.send_record(0, first)
        await gateway.send_record(0, first)
        # Numbers 3 to 6: the first of them has been counted.
        await gateway.send_record(0, gateway.encode(3, outcomes))
        # Numbers 7 and 8 are never sent.
        await gateway.send_record(0, gateway.encode(9, outcomes))
        # A successor says that everything below 20 was given out.
        await gateway.send_record(0, gateway.encode(20, []))
        totals = await until(world.totals, lambda totals: totals.missing == 9, "the gap to be noticed")
    assert totals.outcomes_counted == 4 + 3 + 4
    assert totals.duplicates_dropped == 4 + 1


async def test_sequences_survive_a_restart(world: World) -> None:
    """The naive way that fails: the last numbers kept in memory only."""
    worker = world.start_worker()
    async with world.gateway() as gateway:
        batch = gateway.encode(gateway.take_numbers(0, 1), [an_outcome("unit")])
        await gateway.send_record(0, batch)
        await world.counted(1)
        worker.stop()
        await gateway.send_record(0, batch)
        world.start_worker()
        totals = await until(world.totals, lambda totals: totals.duplicates_dropped == 1, "the repeat")
    assert totals.outcomes_counted == 1
