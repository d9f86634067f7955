"""Comparisons in Postgres: repeats change nothing, sums are by analysis bucket, texts expire."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.assignment import analysis_bucket, unit_hash
from services.domain.events import Comparison, Likeness, ShadowCoverage, Side
from services.domain.shadow_report import SUMMED
from services.domain.status import OutcomeStatus
from services.storage import comparisons
from services.storage.tables import comparison_texts

EXPERIMENT = uuid.uuid4()
GATEWAY = uuid.uuid4()
DAY_US = 86_400 * 1_000_000
SIMILAR_FROM = 0.9


def side(variant: str, latency_us: int, **changes: Any) -> Side:
    values: dict[str, Any] = {
        "status": OutcomeStatus.OK,
        "http_status": 200,
        "prompt_tokens": 5,
        "completion_tokens": 10,
        "cost_nanos": 100,
    }
    return Side(variant_key=variant, latency_us=latency_us, **(values | changes))


def comparison(unit: str, **changes: Any) -> Comparison:
    values: dict[str, Any] = {
        "comparison_id": uuid.uuid4(),
        "experiment_id": EXPERIMENT,
        "phase": 1,
        "route_key": "chat",
        "unit_hash": unit_hash(unit),
        "occurred_at_us": int(time.time() * 1e6),
        "streamed": False,
        "production": side("old", 2_000),
        "shadow": side("new", 1_500),
        "likeness": Likeness(False, True, 1.0),
    }
    return Comparison(**(values | changes))


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.begin() as connection:
        yield connection


async def test_a_comparison_is_stored_once_and_read_as_it_was(connection: AsyncConnection) -> None:
    one = comparison("ann", shadow=side("new", 7, cost_nanos=None, first_token_us=3))
    for _ in range(2):
        await comparisons.add(connection, [one])
    (stored,) = await comparisons.newest(connection, EXPERIMENT, 1, limit=10)
    assert (stored.comparison, stored.texts) == (one, None)
    assert await comparisons.newest(connection, EXPERIMENT, 2, limit=10) == []


async def test_a_failed_shadow_has_no_likeness(connection: AsyncConnection) -> None:
    failed = comparison("ann", shadow=side("new", 9, status=OutcomeStatus.TIMEOUT), likeness=None)
    await comparisons.add(connection, [failed])
    sums = await comparisons.summed(connection, EXPERIMENT, 1, similar_from=SIMILAR_FROM)
    seen = {name: sums.total(name) for name in SUMMED if sums.total(name)}
    assert seen == {"mirrored": 1, "shadow_errors": 1}


async def test_sums_are_those_of_each_units_bucket(connection: AsyncConnection) -> None:
    units = [f"unit-{i % 40}" for i in range(200)]
    stored = [
        comparison(
            unit,
            likeness=Likeness(i % 4 == 0, i % 2 == 0, 1.0 if i % 2 == 0 else 0.7, i % 5 == 0 or None),
            shadow=side("new", 1_000 + i, cost_nanos=None if i % 3 else 40, completion_tokens=i),
        )
        for i, unit in enumerate(units)
    ]
    await comparisons.add(connection, stored)
    sums = await comparisons.summed(connection, EXPERIMENT, 1, similar_from=SIMILAR_FROM)

    assert {bucket for bucket, n in enumerate(sums["compared"]) if n} == {
        analysis_bucket(one.unit_hash) for one in stored
    }
    for unit in set(units):
        bucket = analysis_bucket(unit_hash(unit))
        here = [one for one in stored if analysis_bucket(one.unit_hash) == bucket]
        assert sums["compared"][bucket] == len(here)
        assert sums["shadow_latency_us"][bucket] == sum(one.shadow.latency_us for one in here)
        assert sums["production_cost_nanos"][bucket] == 100 * sums["priced"][bucket]
    totals = {name: sums.total(name) for name in SUMMED}
    assert (totals["exact"], totals["normalised"], totals["similar"]) == (50, 100, 100)
    assert totals["similarity"] == pytest.approx(100 + 70)
    assert (totals["with_tool_calls"], totals["tool_calls_match"]) == (40, 40)
    assert totals["shadow_faster"] == sum(one.shadow.latency_us < 2_000 for one in stored) == 200
    assert totals["priced"] == 67
    assert totals["shadow_cost_nanos"] == 67 * 40


async def test_coverage_only_grows_and_adds_up_over_gateways(connection: AsyncConnection) -> None:
    early = ShadowCoverage(EXPERIMENT, 1, 10, 5, 1, {"queue_full": 2}, 500)
    late = ShadowCoverage(EXPERIMENT, 1, 20, 12, 3, {"queue_full": 4, "cost_limit": 1}, 1_200)
    await comparisons.add_coverage(connection, GATEWAY, [late, early])
    await comparisons.add_coverage(connection, GATEWAY, [early])
    await comparisons.add_coverage(connection, uuid.uuid4(), [early])

    covered = await comparisons.covered(connection, EXPERIMENT, 1)
    assert (covered.sampled, covered.compared, covered.failed) == (30, 17, 4)
    assert covered.shed == {"cost_limit": 1, "queue_full": 6}
    assert covered.cost_nanos == 1_700
    assert covered.under_way == 30 - 17 - 4 - 7


async def test_texts_are_there_until_they_expire_and_then_deleted(connection: AsyncConnection) -> None:
    now = int(time.time() * 1e6)
    fresh = comparison("ann", texts=("a\x00b", "c"), text_days=2, occurred_at_us=now - DAY_US)
    old = comparison("bob", texts=("d", "e"), text_days=2, occurred_at_us=now - 3 * DAY_US)
    await comparisons.add(connection, [fresh, old])
    shown = await comparisons.newest(connection, EXPERIMENT, 1, limit=10)
    assert [one.texts for one in shown] == [("a�b", "c"), None]

    assert await comparisons.forget_expired_texts(connection) == 1
    assert await comparisons.forget_expired_texts(connection) == 0
    left = await connection.scalars(sa.select(comparison_texts.c.comparison_id))
    assert list(left) == [fresh.comparison_id]
