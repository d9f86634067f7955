"""Experiments are judged on what was counted, and each decision is recorded once."""

import asyncio

from services.domain.canary import CanaryDefinition, CanaryPlan, ThresholdPolicy
from services.domain.evaluation import evaluate, inputs_from
from services.domain.policy import Act
from services.messaging.topics import DECISIONS
from tests.integration.workers.canary import start_canary
from tests.integration.workers.world import World, until

BAD = {"control": 0.01, "treatment": 0.6}


async def test_a_bad_canary_is_rolled_back_once(world: World) -> None:
    """With two workers under load: one decision, published with the transaction that recorded it.

    The naive way that fails: a decision per evaluation, until somebody has acted on the first.
    """
    workers = [world.start_worker(), world.start_worker()]
    experiment = await start_canary(world)
    async with world.gateway(experiment_id=experiment.experiment_id, error_rates=BAD) as gateway:
        await gateway.send(400)
        await until(lambda: world.rows("SELECT 1 FROM decisions"), bool, "a decision")
        await gateway.send(200)
        await world.assert_exact(gateway)
    decisions = await world.rows("SELECT action, rule, actor, allocation_version, inputs FROM decisions")
    assert [row[:4] for row in decisions] == [("rollback", "roll_back_on_guardrail", "policy", 2)]
    assert await world.rows("SELECT topic, key FROM outbox") == [
        (DECISIONS.name, str(experiment.experiment_id).encode())
    ]
    again = evaluate(inputs_from(decisions[0].inputs)).judgement
    assert isinstance(again, Act)
    assert again.action == "rollback"
    for worker in workers:
        worker.raise_if_dead()


async def test_a_worker_that_comes_later_finds_what_was_counted(world: World) -> None:
    """Nothing is touched any more: the evaluation starts from the counts, not from news.

    The naive way that fails: reading only what was touched since this process evaluates.
    """
    worker = world.start_worker()
    experiment = await start_canary(world, CanaryDefinition(treatment="treatment"))
    async with world.gateway(experiment_id=experiment.experiment_id) as gateway:
        await gateway.send(200)
        await world.counted(200)
    worker.stop()
    async with world.engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM evaluations")
    world.start_worker()

    async def requests() -> int:
        rows = await world.rows("SELECT (body->'totals'->'control'->>'requests')::int FROM evaluations")
        return rows[0][0] if rows else 0

    expected = gateway.expected["control requests"]
    await until(requests, lambda seen: seen == expected, f"{expected} requests to be seen")


async def test_a_step_is_advanced_once_per_allocation(world: World) -> None:
    """Nobody applies it here, so it stays due, and is recorded once all the same."""
    plan = CanaryPlan(steps=(0.25, 0.5), step_minimum_seconds=0.0, step_minimum_units=10)
    world.start_worker()
    experiment = await start_canary(world, CanaryDefinition(treatment="treatment", plan=plan))
    async with world.gateway(experiment_id=experiment.experiment_id, units=2_000) as gateway:
        await gateway.send(400)
        await until(lambda: world.rows("SELECT 1 FROM decisions"), bool, "a decision")
        await gateway.send(200)
        await world.counted(600)
    rows = await world.rows("SELECT action, next_step, next_share_bp FROM decisions")
    assert rows == [("advance", 1, 5_000)]


async def test_the_threshold_policy_looks_once_an_interval(world: World) -> None:
    """The naive way that fails: a windowed rule that is looked at on every outcome stops good canaries."""
    policy = ThresholdPolicy(interval_seconds=3_600.0, minimum_requests=10)
    worker = world.start_worker()
    experiment = await start_canary(world, CanaryDefinition(treatment="treatment", policy=policy))
    await until(lambda: world.rows("SELECT rule FROM evaluations"), bool, "the first look")
    async with world.gateway(
        experiment_id=experiment.experiment_id, error_rates={"control": 0.0, "treatment": 0.4}
    ) as gateway:
        await gateway.send(400)
        await world.counted(400)
        rule = "SELECT rule, (body->'totals'->'treatment'->>'requests')::int FROM evaluations"
        expected = gateway.expected["treatment requests"]
        rows = await until(
            lambda: world.rows(rule), lambda rows: rows[0][1] == expected, "the counts to be evaluated"
        )
        assert rows[0][0] == "hold_without_data"
        assert await world.rows("SELECT 1 FROM decisions") == []
    # Another worker has not looked yet.
    await asyncio.to_thread(worker.stop)
    world.start_worker()
    await until(lambda: world.rows("SELECT action FROM decisions"), bool, "the next look to decide")
