"""Endpoints, variants, routes and keys through a running control plane."""

import hashlib
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.configuration import (
    BreakerSettings,
    Config,
    CredentialConfig,
    EndpointConfig,
    Prices,
    ProbeSettings,
    RouteConfig,
)
from services.storage.tables import outbox
from tests.integration.api.conftest import Client

ENDPOINT = {"key": "main", "kind": "openai", "base_url": "https://llm.test/v1/", "secret": "env:LLM_KEY"}


async def published(engine: AsyncEngine) -> list[Config]:
    """What waits in the outbox, in order."""
    async with engine.connect() as connection:
        values = await connection.scalars(sa.select(outbox.c.value).order_by(outbox.c.outbox_id))
        return [msgspec.json.decode(value, type=Config) for value in values]


async def test_what_is_created_is_shown_listed_and_published(client: Client, engine: AsyncEngine) -> None:
    endpoint = await client.made("/v1/endpoints", ENDPOINT)
    assert endpoint["base_url"] == "https://llm.test/v1"
    variant = await client.made("/v1/variants", {"key": "v1", "endpoints": ["main"], "model": "m"})
    route = await client.made("/v1/routes", {"key": "openai/gpt-4o:chat", "stable": "v1"})

    assert (await client.get("/v1/endpoints/main")).body == endpoint
    assert (await client.get("/v1/variants")).body == {"items": [variant], "next_cursor": None}
    assert (await client.get("/v1/routes/openai/gpt-4o:chat")).body == route
    assert route["allocation"]["weights"] == {"v1": 1.0}

    first, second = await published(engine)
    assert isinstance(first, EndpointConfig)
    assert first.secret == "env:LLM_KEY"
    assert isinstance(second, RouteConfig)
    assert second.variants["v1"].endpoint_keys == ("main",)
    assert second.experiment is None
    assert second.version > first.version > (0, 0)


async def test_a_replaced_variant_reaches_the_routes_it_serves(defined: Client, engine: AsyncEngine) -> None:
    answer = await defined.put("/v1/variants/old", {"endpoints": ["openai"], "model": "another"})

    assert answer.body["model"] == "another"
    *_, last = await published(engine)
    assert isinstance(last, RouteConfig)
    assert last.variants["old"].model == "another"


async def test_a_replaced_endpoint_is_published_with_a_higher_version(
    defined: Client, engine: AsyncEngine
) -> None:
    await defined.put("/v1/endpoints/openai", {"kind": "openai", "base_url": "http://other.test"})

    endpoints = [state for state in await published(engine) if isinstance(state, EndpointConfig)]
    assert [state.base_url for state in endpoints] == ["https://llm.test/v1", "http://other.test"]
    assert endpoints[0].version < endpoints[1].version


async def test_a_key_is_shown_once_and_stored_as_a_hash(client: Client, engine: AsyncEngine) -> None:
    answer = await client.post("/v1/keys", {"label": "checkout"})
    key, key_id = answer.body["key"], answer.body["key_id"]

    assert key.startswith("hg_")
    assert answer.headers["cache-control"] == "no-store"
    listed = await client.get("/v1/keys")
    assert [item["key_id"] for item in listed.body["items"]] == [key_id]
    assert key not in str(listed.body)
    (state,) = await published(engine)
    assert isinstance(state, CredentialConfig)
    assert state.key_hash == hashlib.sha256(key.encode()).hexdigest()

    revoked = await client.call("DELETE", f"/v1/keys/{key_id}")
    assert revoked.body["revoked_at"]
    assert [getattr(state, "revoked", None) for state in await published(engine)] == [False, True]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/endpoints", {"key": "openai", "kind": "openai", "base_url": "http://llm.test"}),
        ("/v1/variants", {"key": "old", "endpoints": ["openai"]}),
        ("/v1/routes", {"key": "chat", "stable": "old"}),
        ("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"}),
    ],
)
async def test_a_taken_key_is_a_conflict(drafted: Client, path: str, body: dict[str, object]) -> None:
    answer = await drafted.post(path, body)

    assert answer.status == 409
    assert "exists already" in answer.body["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/variants", {"key": "x", "endpoints": ["openai", "nowhere"]}, "endpoints[1]"),
        ("/v1/routes", {"key": "x", "stable": "nothing"}, "stable"),
        ("/v1/keys", {"label": "x", "routes": ["chat", "nowhere"]}, "routes[1]"),
        ("/v1/experiments", {"key": "x", "route": "nowhere", "treatment": "new"}, "route"),
        ("/v1/experiments", {"key": "x", "route": "chat", "treatment": "nothing"}, "treatment"),
        ("/v1/experiments", {"key": "x", "route": "chat", "treatment": "old"}, "treatment"),
    ],
)
async def test_a_reference_to_nothing_names_the_field(
    defined: Client, path: str, body: dict[str, object], field: str
) -> None:
    answer = await defined.post(path, body)

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]


async def test_the_audit_holds_every_change(defined: Client) -> None:
    await defined.put("/v1/variants/old", {"endpoints": ["openai"], "model": "another"})

    page = (await defined.get("/v1/audit?limit=1")).body
    newest = page["items"][0]
    assert (newest["actor"], newest["action"], newest["subject"]) == ("admin", "replace", "variant/old")
    assert newest["before"]["model"] == "model-old"
    assert newest["after"]["model"] == "another"
    everything = (await defined.get("/v1/audit")).body["items"]
    assert [one["subject"] for one in everything] == [
        "variant/old",
        "route/chat",
        "variant/new",
        "variant/old",
        "endpoint/openai",
    ]
    older = await defined.get(f"/v1/audit?cursor={page['next_cursor']}&subject=variant/old")
    assert [one["action"] for one in older.body["items"]] == ["create"]


async def test_an_endpoint_is_drained_and_comes_back(defined: Client, engine: AsyncEngine) -> None:
    drained = await defined.post("/v1/endpoints/openai/drain", {"reason": "the provider is moving it"})
    assert drained.body["drained"] is True
    await defined.post("/v1/endpoints/openai/drain")
    replaced = await defined.put("/v1/endpoints/openai", {"kind": "openai", "base_url": "http://other.test"})
    assert replaced.body["drained"] is True, "replacing the definition does not undrain"
    await defined.post("/v1/endpoints/openai/undrain")

    endpoints = [state for state in await published(engine) if isinstance(state, EndpointConfig)]
    assert [state.drained for state in endpoints] == [False, True, True, False]
    versions = [state.version for state in endpoints]
    assert versions == sorted(set(versions))
    items = (await defined.get("/v1/audit", params={"subject": "endpoint/openai"})).body["items"]
    assert [item["action"] for item in items] == ["undrain", "replace", "drain", "create"]
    assert items[2]["reason"] == "the provider is moving it"
    assert (items[2]["before"]["drained"], items[2]["after"]["drained"]) == (False, True)


async def test_what_keeps_an_endpoint_reliable_is_shown_and_published(
    client: Client, engine: AsyncEngine
) -> None:
    settings = {
        "max_concurrency": 7,
        "breaker": {"consecutive_failures": 3},
        "probe": {"path": "/models", "interval_seconds": 5},
    }
    shown = await client.made("/v1/endpoints", ENDPOINT | settings)
    assert (shown["max_concurrency"], shown["probe"]["timeout_seconds"]) == (7, 2.0)
    assert (await client.get("/v1/endpoints/main")).body == shown
    (published_,) = await published(engine)
    assert isinstance(published_, EndpointConfig)
    assert published_.breaker == BreakerSettings(consecutive_failures=3)
    assert published_.probe == ProbeSettings(path="/models", interval_seconds=5)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"breaker": {"error_ratio": 1.5}}, "breaker.error_ratio"),
        ({"breaker": {"patience": 1}}, "breaker.patience"),
        ({"probe": {"path": "models"}}, "probe.path"),
        ({"probe": {"path": "/models", "interval_seconds": 0.01}}, "probe.interval_seconds"),
    ],
)
async def test_what_would_make_it_unreliable_is_refused(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    answer = await client.post("/v1/endpoints", ENDPOINT | changes)
    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]


async def test_prices_are_shown_and_published(client: Client, engine: AsyncEngine) -> None:
    prices = {"input_per_million": 2.5, "output_per_million": 10}
    shown = await client.made("/v1/endpoints", ENDPOINT | {"prices": prices})

    assert shown["prices"] == prices | {"cached_input_per_million": None}
    (state,) = await published(engine)
    assert isinstance(state, EndpointConfig)
    assert state.prices == Prices(input_per_million=2.5, output_per_million=10.0)
    negative = await client.put(
        "/v1/endpoints/main",
        {"kind": "openai", "base_url": "http://x.test", "prices": prices | {"input_per_million": -1}},
    )
    assert [error["field"] for error in negative.body["errors"]] == ["prices.input_per_million"]
    assert negative.body["errors"][0]["message"] == "must be at least 0"


REPLACEMENTS = {
    "/v1/endpoints/openai": {"kind": "openai", "base_url": "http://other.test"},
    "/v1/variants/old": {"endpoints": ["openai"], "model": "another"},
    "/v1/metrics/solved": {"source": "feedback:solved"},
    "/v1/teams/checkout": {"label": "Checkout"},
    "/v1/webhooks/on-call": {"url": "https://hooks.test", "secret": "env:SECRET"},
}


@pytest.mark.parametrize("path", REPLACEMENTS)
async def test_a_replacement_may_name_its_key_and_no_other(defined: Client, path: str) -> None:
    """What was shown or exported names it, and is sent back with a field changed."""
    collection, _, key = path.rpartition("/")
    if collection not in ("/v1/endpoints", "/v1/variants"):
        await defined.made(collection, {**REPLACEMENTS[path], "key": key})
    assert (await defined.put(path, {**REPLACEMENTS[path], "key": key})).status == 200
    before = (await defined.get(path)).body

    answer = await defined.put(path, {**REPLACEMENTS[path], "key": "other"})
    assert (answer.status, answer.body["errors"]) == (
        422,
        [{"field": "key", "message": f"is 'other', but the address says '{key}'; a key never changes"}],
    )
    assert (await defined.get(path)).body == before
