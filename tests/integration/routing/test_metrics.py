"""What routing shows of decisions, as the database has them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from prometheus_client import generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.experiment import Experiment
from services.routing.apply import apply_decision
from services.routing.looking import look_for_ever
from services.routing.metrics import Gauges, RoutingMetrics
from services.storage import decisions, outbox
from services.storage.identifiers import new_id
from services.storage.overview import Waiting, read_overview
from services.storage.tables import outbox as outbox_table
from services.storage.tables import webhook_deliveries, webhooks
from tests.integration.routing.test_apply import decision


async def look(engine: AsyncEngine, metrics: RoutingMetrics) -> str:
    """The page after another look at the database."""
    async with engine.connect() as connection:
        metrics.looked(await read_overview(connection))
    return generate_latest(metrics.registry).decode()


async def test_a_rollback_shows_and_begins_at_zero(engine: AsyncEngine, canary: Experiment) -> None:
    metrics = RoutingMetrics()
    metrics.registry.register(Gauges(metrics, SimpleNamespace(leading=False, published=0)))
    rollback = decision(canary, "rollback")
    async with engine.begin() as connection:
        assert await decisions.record(connection, rollback)
    page = await look(engine, metrics)
    by_policy = 'headgate_rollbacks_total{by="policy",route="chat"}'
    assert f"{by_policy} 0.0" in page
    assert "headgate_decisions_waiting 1.0" in page
    assert await apply_decision(engine, rollback.decision_id, metrics) == "applied"
    page = await look(engine, metrics)
    assert f"{by_policy} 1.0" in page
    assert "headgate_decisions_waiting 0.0" in page
    assert 'headgate_routing_decision_delay_seconds_count{action="rollback"} 1.0' in page
    applied = 'headgate_decisions_total{action="rollback",by="policy",kind="canary",result="applied"}'
    assert f"{applied} 1.0" in page


async def test_what_waits_is_seen_with_its_age(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await outbox.add(connection, "config.v1", b"key", b"value")
        await connection.execute(sa.update(outbox_table).values(created_at=_seconds_ago(90)))
        for key, enabled in (("pager", True), ("off", False)):
            definition = {"key": key, "enabled": enabled, "url": "http://x", "secret": "env:X", "events": []}
            await connection.execute(
                sa.insert(webhooks).values(key=key, webhook_id=new_id(), definition=definition)
            )
        for state in ("waiting", "delivered"):
            message = {"webhook_key": "pager", "event": "x", "body": {}, "state": state}
            await connection.execute(
                sa.insert(webhook_deliveries).values(
                    delivery_id=sa.func.gen_random_uuid(), created_at=_seconds_ago(60), **message
                )
            )
    async with engine.connect() as connection:
        seen = await read_overview(connection)
    assert seen.outbox.n == 1
    assert 90 <= seen.outbox.oldest_seconds < 120
    assert seen.decisions == Waiting(0, 0.0)
    assert seen.deliveries.keys() == {"pager"}
    assert seen.deliveries["pager"].n == 1
    assert 60 <= seen.deliveries["pager"].oldest_seconds < 90


async def test_looking_goes_on_and_what_was_seen_stays(engine: AsyncEngine) -> None:
    metrics = RoutingMetrics()
    looking = asyncio.create_task(look_for_ever(engine, metrics, 0.01))
    while metrics.overview is None:
        await asyncio.sleep(0.01)
    first = metrics.overview[1]
    while metrics.overview[1] == first:
        await asyncio.sleep(0.01)
    looking.cancel()
    # The engine goes with the test: a look under way must have let go of its connection.
    await asyncio.wait({looking})


def _seconds_ago(seconds: int) -> sa.ColumnElement[Any]:
    return sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
