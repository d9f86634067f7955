"""What breaks under load, and what must be true afterwards: counts equal what was sent, no request failed
because of Kafka or Postgres, one decision a step.
"""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from services.demo.traffic import Traffic
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from tests.integration.loop.conftest import Loop, eventually

pytestmark = pytest.mark.loop

HELD = {"plan": {"steps": [0.2, 0.5], "step_minimum_seconds": 3600}}
"""A canary that stays on its first step."""


async def more_answers(traffic: Traffic, count: int = 200) -> None:
    have = len(traffic.answers)
    await eventually(lambda: len(traffic.answers) >= have + count)


async def test_kafka_restarts_under_load(breakable_loop: Loop, own_kafka: EmbeddedKafka) -> None:
    loop = breakable_loop
    await loop.start_canary("next", **HELD)
    async with loop.under_load(100) as traffic:
        await asyncio.to_thread(own_kafka.restart)
        await more_answers(traffic, 300)
    await assert_all_served_and_counted(loop, traffic)


async def test_postgres_restarts_under_load(breakable_loop: Loop, own_postgres: EmbeddedPostgres) -> None:
    loop = breakable_loop
    await loop.start_canary("next", **HELD)
    async with loop.under_load(100) as traffic:
        await asyncio.to_thread(own_postgres.restart)
        await more_answers(traffic, 300)
    await assert_all_served_and_counted(loop, traffic)


async def test_routing_is_killed_again_and_again_while_a_canary_climbs(loop: Loop) -> None:
    async with loop.under_load(100) as traffic:
        await loop.start_canary("next", policy={"type": "sequential", "margin_promote": 0.1})
        ending = asyncio.create_task(loop.canary_ends())
        for _ in range(4):
            process = loop.product.supervisor.process("routing")
            if process.running:
                os.kill(process.pid, signal.SIGKILL)
            await asyncio.wait({ending}, timeout=1.5)
        assert await ending == "promoted"
        await more_answers(traffic)
    assert traffic.answers[-1].variant == "next"
    decisions = sorted(await loop.decisions(), key=lambda decision: decision["decided_at"])
    assert [(d["action"], d["state"]) for d in decisions] == [("advance", "applied"), ("promote", "applied")]


async def test_a_worker_is_killed_under_load(loop: Loop) -> None:
    await loop.start_canary("next", **HELD)
    async with loop.under_load(100) as traffic:
        for _ in range(2):
            os.kill(loop.product.supervisor.process("worker-1").pid, signal.SIGKILL)
            await more_answers(traffic, 150)
    await assert_all_served_and_counted(loop, traffic)


async def test_without_workers_the_canary_gets_no_traffic_until_they_are_back(own_loop: Loop) -> None:
    loop = own_loop
    await loop.start_canary("next", **HELD, lease_limit_seconds=5)
    worker = loop.product.supervisor.forget("worker-1")
    async with loop.under_load(60) as traffic:
        await eventually(lambda: traffic.answers[-1].variant == "next")
        await asyncio.to_thread(worker.stop)
        await eventually(lambda: all(a.variant == "steady" for a in traffic.answers[-200:]))
        worker.start()
        await eventually(lambda: traffic.answers[-1].variant == "next")
    await asyncio.to_thread(worker.stop)


async def assert_all_served_and_counted(loop: Loop, traffic: Traffic) -> None:
    assert traffic.unanswered == 0
    assert {answer.status for answer in traffic.answers} <= {200, 500}, "only the provider's own errors"
    totals = await loop.counted(len(traffic.answers))
    assert totals.outcomes_counted == len(traffic.answers)
    assert (totals.missing, totals.records_lost, totals.dead_lettered) == (0, 0, 0)
