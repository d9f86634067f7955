"""Teams: created, changed, listed, and deleted once nobody can use a key of theirs."""

import asyncio
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.configuration import Config, TeamConfig
from services.domain.limits import Limits
from services.storage import teams
from services.storage.tables import outbox
from tests.integration.api.conftest import ADMIN_KEY, Client
from tests.integration.api.waits import until_a_lock_is_waited_for

TEAM = {"key": "checkout", "label": "Checkout", "limits": {"tokens_per_day": 1_000_000_000_000}}


async def published(engine: AsyncEngine) -> list[tuple[bytes, Any]]:
    """What gateways were told of teams, in order; None where one is to be forgotten."""
    query = sa.select(outbox.c.key, outbox.c.value).order_by(outbox.c.outbox_id)
    async with engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    return [
        (key, None if value is None else msgspec.json.decode(value, type=Config))
        for key, value in rows
        if key.startswith(b"team/")
    ]


async def test_a_team_is_created_changed_and_deleted(client: Client, engine: AsyncEngine) -> None:
    created = await client.made("/v1/teams", TEAM)
    assert created["limits"]["tokens_per_day"] == 1_000_000_000_000
    conflict = await client.post("/v1/teams", TEAM)
    assert (conflict.status, "exists already" in conflict.body["detail"]) == (409, True)
    shown = await client.get("/v1/teams/checkout")
    assert shown.body == created

    replaced = await client.put("/v1/teams/checkout", {"label": "Pay", "limits": {}})
    assert (replaced.body["label"], replaced.body["limits"]) == ("Pay", None)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": shown.headers["etag"]}
    assert (await client.call("DELETE", "/v1/teams/checkout", headers=headers)).status == 412
    assert (await client.call("DELETE", "/v1/teams/checkout")).body == replaced.body
    assert (await client.get("/v1/teams/checkout")).status == 404

    (_, first), (_, second), (key, third) = await published(engine)
    assert isinstance(first, TeamConfig)
    assert (first.limits, second.limits, third) == (Limits(tokens_per_day=10**12), None, None)
    assert (first.version < second.version, key) == (True, b"team/checkout")
    trail = (await client.get("/v1/audit?subject=team/checkout")).body["items"]
    assert [one["action"] for one in trail] == ["delete", "replace", "create"]


async def test_teams_are_listed_by_key(client: Client) -> None:
    for key in ("search", "checkout", "seats"):
        await client.made("/v1/teams", {"key": key, "label": key})

    first = (await client.get("/v1/teams?limit=2")).body
    assert [one["key"] for one in first["items"]] == ["checkout", "search"]
    rest = (await client.get(f"/v1/teams?cursor={first['next_cursor']}")).body
    assert [one["key"] for one in rest["items"]] == ["seats"]
    assert len((await client.get("/v1/teams?q=se")).body["items"]) == 2


async def test_a_team_whose_keys_can_be_used_stays(client: Client) -> None:
    await client.made("/v1/teams", TEAM)
    kept = await client.made("/v1/keys", {"label": "x", "team": "checkout"})

    refused = await client.call("DELETE", "/v1/teams/checkout")
    assert (refused.status, kept["key_id"] in refused.body["detail"]) == (409, True)
    await client.call("DELETE", f"/v1/keys/{kept['key_id']}")
    assert (await client.call("DELETE", "/v1/teams/checkout")).status == 200
    assert (await client.get(f"/v1/keys/{kept['key_id']}")).body["team"] is None


async def test_a_key_made_while_its_team_is_deleted_is_refused(client: Client, engine: AsyncEngine) -> None:
    await client.made("/v1/teams", TEAM)
    async with engine.begin() as connection:
        await teams.get(connection, "checkout", lock=True)
        await teams.delete(connection, "checkout")
        making = asyncio.create_task(client.post("/v1/keys", {"label": "x", "team": "checkout"}))
        await until_a_lock_is_waited_for(engine)

    answer = await making
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "team")


async def test_a_key_moves_to_another_team(client: Client) -> None:
    await client.made("/v1/teams", TEAM)
    await client.made("/v1/teams", TEAM | {"key": "search"})
    made = await client.made("/v1/keys", {"label": "x", "team": "checkout"})
    moved = await client.call("PATCH", f"/v1/keys/{made['key_id']}", json={"team": "search"})

    assert moved.body["team"] == "search"
    assert (await client.call("DELETE", "/v1/teams/checkout")).status == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": "Not A Key"}, "key"),
        ({"label": ""}, "label"),
        ({"limits": {"tokens_per_day": 10**13}}, "limits.tokens_per_day"),
        ({"limits": []}, "limits"),
        ({"budget": 5}, "budget"),
    ],
)
async def test_a_bad_team_names_the_field(client: Client, changes: dict[str, Any], field: str) -> None:
    answer = await client.post("/v1/teams", TEAM | changes)

    assert (answer.status, [error["field"] for error in answer.body["errors"]]) == (422, [field])
