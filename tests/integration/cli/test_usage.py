"""``headgate usage`` on a running control plane."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage.usage import UsageCount, add_usage
from tests.integration.cli.conftest import Headgate

TODAY = datetime.now(UTC).date()


async def test_usage_as_a_table_and_as_json(headgate: Headgate, engine: AsyncEngine) -> None:
    await _fill(engine)
    head, _, *rows = (await headgate("usage", "--by", "team,key")).stdout.splitlines()
    assert head.split()[:3] == ["team", "key", "requests"]
    assert [row.split() for row in rows] == [
        ["–", "key_2", "3", "0", "1,200", "0", "6", "0.0000", "3"],
        ["search", "key_1", "5", "1", "1,200", "400", "6", "2.5000", "0"],
        ["all", "8", "1", "2,400", "400", "12", "2.5000", "3"],
    ]
    shown = json.loads((await headgate("usage", "--team", "search", "--json")).stdout)
    assert shown["totals"]["cost_nanos"] == 2_500_000_000
    assert [item["day"] for item in shown["items"]] == [str(TODAY)]


async def test_keys_are_called_by_their_labels(headgate: Headgate, engine: AsyncEngine) -> None:
    made = json.loads((await headgate("keys", "create", "checkout service", "--json")).stdout)
    count = UsageCount(TODAY, "chat", "v", "", made["key_id"], 0, 5, 1, 1_200, 400, 6, 0, 0, 1)
    async with engine.begin() as connection:
        await add_usage(connection, [count])
    table = (await headgate("usage", "--by", "day,key")).stdout
    assert f"{TODAY}   {made['key_id']} (checkout service)   5" in table
    (shown,) = json.loads((await headgate("usage", "--by", "key", "--json")).stdout)["items"]
    assert (shown["key"], shown["key_label"]) == (made["key_id"], "checkout service")


async def test_nothing_was_used(headgate: Headgate, engine: AsyncEngine) -> None:
    await _fill(engine)
    day = str(TODAY - timedelta(days=7))
    told = await headgate("usage", "--from", day, "--to", day, "--key-id", "key_1")
    assert told.stdout == f"nothing was used from {day} to {day}\n"
    refused = await headgate("usage", "--by", "week", exit_code=1)
    assert "group_by must be some of day, route, variant, team, key" in refused.stderr.replace(": ", " ")


async def _fill(engine: AsyncEngine) -> None:
    rows = [
        UsageCount(TODAY, "chat", "v", "search", "key_1", 0, 5, 1, 1_200, 400, 6, 2_500_000_000, 0, 1),
        UsageCount(TODAY, "chat", "v", "", "key_2", 0, 3, 0, 1_200, 0, 6, 0, 3, 1),
    ]
    async with engine.begin() as connection:
        await add_usage(connection, rows)
