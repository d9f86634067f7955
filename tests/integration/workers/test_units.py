"""What is known of units outlives the worker that knew it."""

from services.domain.events import UnitSource
from services.domain.status import OutcomeStatus
from tests.integration.workers.gateway import an_outcome
from tests.integration.workers.world import World


async def test_first_events_stay_first_across_a_restart(world: World) -> None:
    """The naive way that fails: a set in memory makes every unit new after each restart."""
    worker = world.start_worker()
    # More units than one chunk holds, in each partition.
    async with world.gateway(units=3_000) as gateway:
        await gateway.send(6_000, batch=50)
        await world.counted(6_000)
        worker.stop()
        world.start_worker()
        await gateway.send(3_000, batch=50)
        await world.assert_exact(gateway)
    chunks = await world.rows("SELECT max(chunk), max(length(units)) FROM unit_chunks")
    assert chunks[0][0] >= 1
    assert chunks[0][1] < 2_000


async def test_requests_that_are_their_own_units_leave_no_trace(world: World) -> None:
    """Each is a first request; remembering them would grow with the traffic."""
    world.start_worker()
    async with world.gateway() as gateway:
        one = an_outcome(
            "request",
            experiment_id=gateway.experiment_id,
            unit_source=UnitSource.REQUEST,
            status=OutcomeStatus.TIMEOUT,
        )
        await gateway.send_batch(0, [one, one, one])
        await world.counted(3)
    role = one.assignments[0].role.label
    assert await world.counts(gateway.experiment_id) == {
        f"{role} {column}": 3
        for column in ("requests", "errors", "first_errors", "first_requests", "first_request_errors")
    }
    assert await world.rows("SELECT 1 FROM unit_chunks UNION ALL SELECT 1 FROM exposures") == []
