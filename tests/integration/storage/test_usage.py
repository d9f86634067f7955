"""Usage in Postgres: sums, views, the last use of keys, and the beginning of the history of prices."""

import asyncio
import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import comparisons, migrate
from services.storage.tables import credentials
from services.storage.usage import KeyUse, UsageCount, add_usage, mark_used
from tests.integration.storage.test_comparisons import comparison, side

DAY = date(2026, 11, 23)
FIRST_MS, SECOND_MS = 1_764_000_000_000, 1_764_000_005_000


def count(key: str = "key_1", partition: int = 0, **changes: Any) -> UsageCount:
    values = UsageCount(DAY, "chat", "old", "search", key, partition, 5, 1, 100, 40, 50, 7, 2, 29_400_000)
    return values._replace(**changes)


async def written(engine: AsyncEngine, *rows: UsageCount) -> None:
    async with engine.begin() as connection:
        await add_usage(connection, rows)


async def read(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(sa.text(query))]


async def test_what_is_added_is_added_up(engine: AsyncEngine) -> None:
    await written(engine, count(), count(partition=1), count("key_2", team_key=""))
    await written(engine, count(last_tick=29_300_000), count(partition=1, last_tick=29_400_001))
    columns = "requests, errors, prompt_tokens, cached_tokens, completion_tokens, cost_usd, unpriced_requests"
    assert await read(engine, f"SELECT team_key, {columns} FROM cost_by_day ORDER BY 1") == [  # noqa: S608
        ("search", 20, 4, 400, 160, 200, Decimal("0.000000028"), 8),
        (None, 5, 1, 100, 40, 50, Decimal("0.000000007"), 2),
    ]
    ((minute,),) = await read(engine, "SELECT last_used_minute FROM usage_by_key WHERE key_id = 'key_1'")
    assert minute == datetime.fromtimestamp(29_400_001 * 60, UTC)


async def test_dollars_are_exact_however_many(engine: AsyncEngine) -> None:
    """Larger than a float can hold: the last billionth is still there."""
    much = 2**62 + 1
    await written(engine, count(cost_nanos=much), count(partition=1, cost_nanos=much))
    for view in ("cost_by_day", "usage_by_key"):
        ((dollars,),) = await read(engine, f"SELECT cost_usd FROM {view}")  # noqa: S608 - a constant
        assert isinstance(dollars, Decimal)
        assert dollars * 10**9 == 2 * much


async def test_owners_of_other_partitions_do_not_wait(engine: AsyncEngine) -> None:
    async with engine.begin() as first, engine.begin() as second:
        await add_usage(first, [count(partition=0)])
        await asyncio.wait_for(add_usage(second, [count(partition=1)]), 20)
    assert await read(engine, "SELECT requests FROM cost_by_day") == [(10,)]


@pytest.fixture
async def keys(engine: AsyncEngine) -> None:
    rows = [{"key_id": f"key_{n}", "key_hash": str(n), "label": f"service {n}"} for n in (1, 2)]
    async with engine.begin() as connection:
        await connection.execute(sa.insert(credentials), rows)


async def last_used(engine: AsyncEngine) -> dict[object, object]:
    rows = await read(engine, "SELECT key_id, extract(epoch FROM last_used_at) * 1000 FROM credentials")
    return {key: ms and int(str(ms).partition(".")[0]) for key, ms in rows}


@pytest.mark.usefixtures("keys")
async def test_the_last_use_only_goes_forward(engine: AsyncEngine) -> None:
    for uses in (
        [KeyUse("key_1", SECOND_MS)],
        [KeyUse("key_1", FIRST_MS), KeyUse("key_of_nobody", FIRST_MS)],
    ):
        async with engine.begin() as connection:
            await mark_used(connection, uses)
    assert await last_used(engine) == {"key_1": SECOND_MS, "key_2": None}


@pytest.mark.usefixtures("keys")
async def test_counting_waits_for_no_one_who_changes_a_key(engine: AsyncEngine) -> None:
    async with engine.begin() as holding, engine.begin() as counting:
        await holding.execute(sa.text("SELECT FROM credentials WHERE key_id = 'key_1' FOR UPDATE"))
        await asyncio.wait_for(
            mark_used(counting, [KeyUse("key_1", FIRST_MS), KeyUse("key_2", FIRST_MS)]), 20
        )
    assert await last_used(engine) == {"key_1": None, "key_2": FIRST_MS}


async def test_shadows_stand_apart(engine: AsyncEngine) -> None:
    noon = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1e6)
    mirrored = [
        comparison("ann", occurred_at_us=noon, shadow=side("new", 1, cost_nanos=41)),
        comparison("bob", occurred_at_us=noon, shadow=side("new", 1, cost_nanos=None)),
        comparison(
            "eve",
            occurred_at_us=noon,
            shadow=side("new", 1, cost_nanos=None, prompt_tokens=None, completion_tokens=None),
        ),
    ]
    async with engine.begin() as connection:
        await comparisons.add(connection, mirrored)
    columns = (
        "day, experiment_key, route_key, variant_key, requests, prompt_tokens, cost_usd, unpriced_requests"
    )
    assert await read(engine, f"SELECT {columns} FROM shadow_cost_by_day") == [  # noqa: S608 - a constant
        (DAY, None, "chat", "new", 3, 10, Decimal("0.000000041"), 1)
    ]
    assert await read(engine, "SELECT * FROM cost_by_day") == []


def test_the_history_of_prices_begins_with_those_there_are(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "2026_11_23_11")
    engine = sa.create_engine(empty_database_url, poolclass=sa.NullPool)
    priced = {"input_per_million": 0.15, "output_per_million": 0.6}
    with engine.begin() as connection:
        for key, prices in (("priced", priced), ("without", None)):
            definition = json.dumps({"version": [1, 7], "prices": prices})
            connection.execute(
                sa.text("INSERT INTO endpoints VALUES (:key, :id, CAST(:definition AS jsonb))"),
                {"key": key, "id": uuid.uuid4(), "definition": definition},
            )
    migrate.upgrade(empty_database_url)
    with engine.begin() as connection:
        rows = connection.execute(sa.text("SELECT * FROM endpoint_prices")).mappings().all()
        ((updated_at,),) = connection.execute(
            sa.text("SELECT updated_at FROM endpoints WHERE key = 'priced'")
        ).all()
    assert [dict(row) for row in rows] == [
        {
            "endpoint_key": "priced",
            "config_timeline": 1,
            "config_counter": 7,
            "effective_at": updated_at,
            "input_per_million": 0.15,
            "cached_input_per_million": None,
            "output_per_million": 0.6,
            "actor": "unknown",
        }
    ]
