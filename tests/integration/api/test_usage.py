"""Usage and prices through a running control plane."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.configuration import EndpointConfig, Prices
from services.storage.tables import outbox
from services.storage.usage import UsageCount, add_usage
from tests.integration.api.conftest import ADMIN_KEY, Client

TODAY = datetime.now(UTC).date()
ENDPOINT = {"key": "main", "kind": "openai", "base_url": "https://llm.test/v1"}
FIRST: dict[str, Any] = {
    "input_per_million": 0.5,
    "output_per_million": 1.5,
    "cached_input_per_million": None,
}
SECOND: dict[str, Any] = {
    "input_per_million": 0.4,
    "output_per_million": 1.25,
    "cached_input_per_million": 0.1,
}


def used(
    day: date, team: str, key: str, partition: int, cost_nanos: int, *, route: str = "chat"
) -> UsageCount:
    return UsageCount(day, route, "old", team, key, partition, 10, 1, 100, 40, 50, cost_nanos, 2, 29_000_000)


@pytest.fixture
async def filled(client: Client, engine: AsyncEngine) -> Client:
    rows = [
        used(TODAY, "search", "key_1", 0, 1_000_000_001),
        used(TODAY, "search", "key_1", 1, 2),
        used(TODAY, "search", "key_2", 0, 30),
        used(TODAY, "", "key_3", 0, 400),
        used(TODAY - timedelta(days=1), "support", "key_4", 0, 5_000, route="support"),
        used(TODAY - timedelta(days=30), "search", "key_1", 0, 60_000),
    ]
    async with engine.begin() as connection:
        await add_usage(connection, rows)
    return client


async def costs(client: Client, query: str, *names: str) -> dict[Any, int]:
    body = (await client.get(f"/v1/usage?{query}")).body
    return {tuple(item[name] for name in names): item["cost_nanos"] for item in body["items"]}


async def test_usage_is_added_up_by_what_is_asked_for(filled: Client) -> None:
    yesterday = TODAY - timedelta(days=1)
    assert await costs(filled, "", "day") == {
        (str(yesterday),): 5_000,
        (str(TODAY),): 1_000_000_433,
    }
    assert await costs(filled, "group_by=team", "team") == {
        (None,): 400,
        ("search",): 1_000_000_033,
        ("support",): 5_000,
    }
    assert await costs(filled, "group_by=key,route&team=search", "key", "route") == {
        ("key_1", "chat"): 1_000_000_003,
        ("key_2", "chat"): 30,
    }
    assert await costs(filled, f"group_by=variant&from={TODAY - timedelta(days=40)}", "variant") == {
        ("old",): 1_000_065_433
    }
    assert await costs(filled, "team=&group_by=key", "key") == {("key_3",): 400}
    assert await costs(filled, "route=nobodys", "day") == {}


async def test_totals_are_of_all_pages(filled: Client) -> None:
    first = (await filled.get("/v1/usage?group_by=team,key&limit=3")).body
    assert first["totals"] == {
        "requests": 50,
        "errors": 5,
        "prompt_tokens": 500,
        "cached_tokens": 200,
        "completion_tokens": 250,
        "cost_nanos": 1_000_005_433,
        "cost_usd": 1.000005433,
        "unpriced_requests": 10,
    }
    assert (first["first_day"], first["last_day"]) == (str(TODAY - timedelta(days=29)), str(TODAY))
    second = (
        await filled.get(
            "/v1/usage", params={"group_by": "team,key", "limit": 3, "cursor": first["next_cursor"]}
        )
    ).body
    assert second["totals"] == first["totals"]
    assert second["next_cursor"] is None
    keys = [item["key"] for item in first["items"] + second["items"]]
    assert keys == ["key_3", "key_1", "key_2", "key_4"]


async def test_pages_by_day(filled: Client) -> None:
    first = (await filled.get("/v1/usage?limit=1")).body
    second = (await filled.get(f"/v1/usage?limit=1&cursor={first['next_cursor']}")).body
    assert [first["items"][0]["day"], second["items"][0]["day"]] == [
        str(TODAY - timedelta(days=1)),
        str(TODAY),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group_by=week", "group_by"),
        ("group_by=", "group_by"),
        ("group_by=day,day", "group_by"),
        ("from=2026-02-01&to=2026-01-01", "from"),
        ("from=2020-01-01&to=2026-01-01", "from"),
        ("from=yesterday", "from"),
        ("cursor=nonsense", "cursor"),
    ],
)
async def test_what_cannot_be_asked(client: Client, query: str, field: str) -> None:
    answer = await client.get(f"/v1/usage?{query}")
    assert answer.status == 422
    assert any(field in one["field"] for one in answer.body["errors"])


async def test_the_first_day_there_is(client: Client) -> None:
    answer = await client.get("/v1/usage?to=0001-01-01")
    assert (answer.body["first_day"], answer.body["last_day"]) == ("0001-01-01", "0001-01-01")


async def test_every_change_of_prices_is_kept(client: Client, engine: AsyncEngine) -> None:
    await client.made("/v1/endpoints", ENDPOINT | {"prices": FIRST})
    shown = (await client.put("/v1/endpoints/main/prices", SECOND)).body
    assert shown["prices"] == SECOND
    await client.put("/v1/endpoints/main/prices", SECOND)
    replaced = {"kind": "openai", "base_url": "https://other.test/v1"}
    await client.put("/v1/endpoints/main", replaced | {"prices": SECOND})
    await client.put("/v1/endpoints/main", replaced)
    await client.post("/v1/endpoints/main/drain")

    history = (await client.get("/v1/endpoints/main/prices")).body["items"]
    assert [one["prices"] for one in history] == [None, SECOND, FIRST]
    assert {one["actor"] for one in history} == {"admin"}
    assert sorted(history, key=lambda one: (one["effective_at"], one["version"])) == history[::-1]
    published = await published_prices(engine)
    assert [published[tuple(one["version"])] for one in history[::-1]] == [
        Prices(**FIRST),
        Prices(**SECOND),
        None,
    ]


async def published_prices(engine: AsyncEngine) -> dict[tuple[int, ...], Prices | None]:
    async with engine.connect() as connection:
        values = await connection.scalars(sa.select(outbox.c.value).order_by(outbox.c.outbox_id))
        states = [msgspec.json.decode(value, type=EndpointConfig) for value in values]
    return {state.version: state.prices for state in states}


async def test_prices_page_by_page(client: Client) -> None:
    await client.made("/v1/endpoints", ENDPOINT | {"prices": FIRST})
    await client.put("/v1/endpoints/main/prices", SECOND)
    first = (await client.get("/v1/endpoints/main/prices?limit=1")).body
    second = (await client.get(f"/v1/endpoints/main/prices?limit=1&cursor={first['next_cursor']}")).body
    assert [first["items"][0]["prices"], second["items"][0]["prices"]] == [SECOND, FIRST]
    assert second["next_cursor"] is None


async def test_prices_are_set_on_what_was_seen(client: Client) -> None:
    await client.made("/v1/endpoints", ENDPOINT)
    tag = (await client.get("/v1/endpoints/main")).headers["etag"]
    await client.put("/v1/endpoints/main/prices", FIRST)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": tag}
    refused = await client.call("PUT", "/v1/endpoints/main/prices", json=SECOND, headers=headers)
    assert refused.status == 412
    assert (await client.get("/v1/endpoints/nothing/prices")).status == 404
    assert (await client.put("/v1/endpoints/main/prices", FIRST | {"input_per_million": -1})).status == 422
