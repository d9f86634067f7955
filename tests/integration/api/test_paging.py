"""Lists page by page, and their filters."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.api.conftest import AB_TEST, Client, define, define_more, installed, served

METRIC = {"source": "latency", "kind": "mean"}


async def pages(client: Client, path: str, limit: int) -> list[list[Any]]:
    """Every page of a list, read to its end."""
    found, cursor = [], None
    while True:
        asked = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        answer = await client.get(path, params=asked)
        assert answer.status == 200, answer.body
        found.append(answer.body["items"])
        cursor = answer.body["next_cursor"]
        if cursor is None:
            return found


@pytest.fixture(scope="module")
async def filled(module_database_url: str) -> AsyncIterator[Client]:
    """Several of everything, which the tests here only read."""
    async with installed(module_database_url) as engine, served(engine) as client:
        await define(client)
        await fill(client)
        yield client


async def fill(defined: Client) -> None:
    await define_more(defined)
    for n in range(3):
        endpoint = {"key": f"other-{n}", "kind": "openai", "base_url": "https://llm.test"}
        await defined.made("/v1/endpoints", endpoint)
        await defined.made("/v1/routes", {"key": f"route/{n}", "stable": "old"})
        await defined.made("/v1/keys", {"label": str(n)})
        await defined.made("/v1/metrics", METRIC | {"key": f"m{n}"})
        webhook = {"key": f"w{n}", "url": "https://hooks.test", "secret": "env:SECRET"}
        await defined.made("/v1/webhooks", webhook)
        canary = {"key": f"c{n}", "route": f"route/{n}", "treatment": "new"}
        await defined.made("/v1/experiments", canary)
        await defined.post(f"/v1/experiments/c{n}/start")
        await defined.post(f"/v1/experiments/c{n}/promote")
        await defined.post(f"/v1/experiments/c{n}/rollback")
    await defined.made("/v1/experiments", AB_TEST)


LISTS = [
    "/v1/endpoints",
    "/v1/variants",
    "/v1/routes",
    "/v1/metrics",
    "/v1/keys",
    "/v1/webhooks",
    "/v1/webhooks/w0/deliveries",
    "/v1/experiments",
    "/v1/experiments/c1/decisions",
    "/v1/decisions",
    "/v1/routes/route/1/allocations",
    "/v1/audit",
]


@pytest.mark.parametrize("path", LISTS)
async def test_pages_hold_everything_once_in_the_same_order(filled: Client, path: str) -> None:
    (whole,) = await pages(filled, path, 1000)
    assert len(whole) >= 2

    for limit in (1, 2, len(whole)):
        found = await pages(filled, path, limit)
        assert [item for page in found for item in page] == whole
        assert {len(page) for page in found[:-1]} <= {limit}
        assert found[-1], "no page is empty"


async def test_what_comes_in_between_shifts_no_page(tested: Client) -> None:
    first = (await tested.get("/v1/experiments", params={"limit": "1"})).body
    await tested.made("/v1/experiments", AB_TEST | {"key": "newest"})
    rest = await tested.get("/v1/experiments", params={"cursor": first["next_cursor"]})

    assert [one["key"] for one in first["items"] + rest.body["items"]] == ["canary", "test"]


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v1/experiments?route=chat", ["test"]),
        ("/v1/experiments?kind=canary&status=running", ["c2", "c1", "c0"]),
        ("/v1/experiments?kind=ab_test&status=running", []),
        ("/v1/endpoints?q=other", ["other-0", "other-1", "other-2"]),
        ("/v1/variants?q=n", ["new"]),
        ("/v1/routes?q=route/", ["route/0", "route/1", "route/2"]),
        ("/v1/routes?q=%25", []),
        ("/v1/metrics?q=m", ["m0", "m1", "m2"]),
    ],
)
async def test_experiments_and_definitions_are_filtered(filled: Client, path: str, keys: list[str]) -> None:
    assert [one["key"] for one in (await filled.get(path)).body["items"]] == keys


async def test_decisions_are_filtered_and_shown(filled: Client) -> None:
    async def count(query: str) -> int:
        return len((await filled.get(f"/v1/decisions?{query}")).body["items"])

    assert await count("") == 6
    assert await count("experiment=c1") == 2
    assert await count("action=promote&state=recorded") == 3
    assert await count("state=applied") == 0
    assert (await filled.get("/v1/decisions?experiment=none")).status == 404
    one = (await filled.get("/v1/decisions?experiment=c1&action=rollback")).body["items"][0]
    shown = await filled.get(f"/v1/decisions/{one['decision_id']}")
    assert shown.body == one
    assert "etag" in shown.headers
    assert (await filled.get("/v1/decisions/0192e4a0-0000-7000-8000-000000000000")).status == 404


async def test_the_audit_is_filtered(filled: Client) -> None:
    async def found(**query: str) -> list[Any]:
        return [
            (one["action"], one["subject"])
            for one in (await filled.get("/v1/audit", params=query)).body["items"]
        ]

    assert await found(action="promote", actor="admin") == [
        ("promote", f"experiment/c{n}") for n in (2, 1, 0)
    ]
    assert await found(actor="nobody") == []
    everything = (await filled.get("/v1/audit")).body["items"]
    middle = everything[len(everything) // 2]["at"]
    newer, older = await found(since=middle), await found(until=middle)
    assert len(newer) + len(older) == len(everything)
    assert older
    assert newer


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("cursor", ["x", "W10", "e30", "%00", "WyJhIiwiYiIsImMiXQ", "ä"])
async def test_a_cursor_of_another_list_is_refused(filled: Client, path: str, cursor: str) -> None:
    answer = await filled.get(f"{path}?cursor={cursor}")

    assert answer.status == 422
    assert answer.body["errors"][0]["field"] == "cursor"


async def test_limits_have_limits(filled: Client) -> None:
    for limit in ("0", "1001", "x"):
        assert (await filled.get(f"/v1/audit?limit={limit}")).status == 422
