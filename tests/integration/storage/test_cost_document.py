"""docs/cost.md: its queries run, and the first one answers what it says."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage.contract import READER
from services.storage.usage import UsageCount, add_usage

DOCUMENT = Path(__file__).parents[3] / "docs" / "cost.md"
QUERIES = re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
TODAY = datetime.now(UTC).date()


async def as_reader(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"SET LOCAL ROLE {READER}"))
        return [tuple(row) for row in await connection.execute(sa.text(query))]


@pytest.mark.parametrize("number", range(len(QUERIES)))
async def test_every_query_is_one_that_an_analyst_may_ask(engine: AsyncEngine, number: int) -> None:
    assert await as_reader(engine, QUERIES[number]) == []


async def test_what_a_team_spent_this_month(engine: AsyncEngine) -> None:
    rows = [
        UsageCount(TODAY, route, "v", team, "key_1", partition, 5, 0, 9, 3, 6, 2_345_000_000, 0, 1)
        for route, team, partition in (
            ("chat", "search", 0),
            ("chat", "search", 1),
            ("mail", "search", 0),
            ("chat", "support", 0),
        )
    ]
    async with engine.begin() as connection:
        await add_usage(connection, rows)
    assert await as_reader(engine, QUERIES[0]) == [
        ("chat", "v", 10, Decimal("4.69")),
        ("mail", "v", 5, Decimal("2.35")),
    ]
    ((_, variant, percent_cached, per_thousand),) = await as_reader(engine, QUERIES[1])
    assert (variant, percent_cached, per_thousand) == ("v", Decimal("33.3"), Decimal("469.0000"))
