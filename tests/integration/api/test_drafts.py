"""Drafts are replaced and deleted; what was started keeps its definition."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import routes
from tests.integration.api.conftest import AB_TEST, ADMIN_KEY, Client

CANARY = {"key": "canary", "route": "chat", "treatment": "new"}
CHANGED = {**CANARY, "plan": {"steps": [0.2, 0.6]}, "on_blind": "hold"}


async def audited(client: Client) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/v1/audit?subject=experiment/canary")).body["items"]
    return items


async def test_a_draft_is_replaced_as_a_whole(drafted: Client) -> None:
    before = (await drafted.get("/v1/experiments/canary")).body
    replaced = await drafted.put("/v1/experiments/canary", CHANGED)

    assert replaced.status == 200
    after = (await drafted.get("/v1/experiments/canary")).body
    assert after == replaced.body
    assert (after["definition"]["plan"]["steps"], after["definition"]["on_blind"]) == ([0.2, 0.6], "hold")
    for lasting in ("experiment_id", "created_at", "status", "route", "kind", "key"):
        assert after[lasting] == before[lasting]
    newest, created = await audited(drafted)
    assert (newest["action"], newest["actor"], created["action"]) == ("replace", "admin", "create")
    assert newest["before"]["definition"] == before["definition"]
    assert newest["after"]["definition"] == after["definition"]

    started = await drafted.post("/v1/experiments/canary/start")
    assert started.body["treatment_share"] == 0.2


async def test_a_replaced_test_has_the_metrics_it_names(tested: Client) -> None:
    replaced = await tested.put("/v1/experiments/test", {**AB_TEST, "goals": ["latency_mean"]})
    assert replaced.status == 200
    measured = {metric["key"] for metric in replaced.body["definition"]["metrics"]}
    assert measured == {"latency_mean", "satisfaction_rate", "error_rate"} | measured
    assert replaced.body["definition"]["goals"] == ["latency_mean"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"key": "other"}, "key"),
        ({"route": "other"}, "route"),
        ({"treatment": "nobody"}, "treatment"),
        ({"plan": {"steps": [0.5, 0.2]}}, "plan.steps[1]"),
        ({"kind": "shadow"}, "kind"),
    ],
)
async def test_what_is_wrong_is_named_and_changes_nothing(
    drafted: Client, change: dict[str, Any], field: str
) -> None:
    before = (await drafted.get("/v1/experiments/canary")).body
    refused = await drafted.put("/v1/experiments/canary", CANARY | change)
    assert refused.status == 422, refused.body
    assert [error["field"] for error in refused.body["errors"]] == [field]
    assert (await drafted.get("/v1/experiments/canary")).body == before


async def test_a_draft_is_deleted_and_its_key_is_free(drafted: Client) -> None:
    shown = await drafted.get("/v1/experiments/canary")
    deleted = await drafted.call("DELETE", "/v1/experiments/canary")
    assert (deleted.status, deleted.body["definition"]) == (200, shown.body["definition"])
    assert "etag" not in deleted.headers
    assert (await drafted.get("/v1/experiments/canary")).status == 404
    assert (await drafted.call("DELETE", "/v1/experiments/canary")).status == 404
    assert [one["action"] for one in await audited(drafted)] == ["delete", "create"]
    again = await drafted.made("/v1/experiments", CHANGED)
    assert again["experiment_id"] != shown.body["experiment_id"]


@pytest.mark.parametrize("status", ["running", "paused", "stopped"])
async def test_what_was_started_is_neither_replaced_nor_deleted(drafted: Client, status: str) -> None:
    for verb in {"running": ["start"], "paused": ["start", "pause"], "stopped": ["start", "stop"]}[status]:
        assert (await drafted.post(f"/v1/experiments/canary/{verb}")).status == 200
    before = (await drafted.get("/v1/experiments/canary")).body
    refusals = [
        await drafted.put("/v1/experiments/canary", CHANGED),
        await drafted.call("DELETE", "/v1/experiments/canary"),
    ]
    for refused, what in zip(refusals, ("replace", "delete"), strict=True):
        assert refused.status == 409
        assert refused.body["detail"].startswith(f"cannot {what} 'canary': it is {status}")
        assert "draft another experiment" in refused.body["detail"]
    after = (await drafted.get("/v1/experiments/canary")).body
    assert (after["definition"], after["status"]) == (before["definition"], status)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_only_what_was_seen_is_changed(drafted: Client, method: str) -> None:
    seen = (await drafted.get("/v1/experiments/canary")).headers["etag"]
    await drafted.put("/v1/experiments/canary", CHANGED)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": seen}
    body = {"json": CANARY} if method == "PUT" else {}
    late = await drafted.call(method, "/v1/experiments/canary", headers=headers, **body)
    assert late.status == 412
    present = await drafted.get("/v1/experiments/canary")
    assert present.body["definition"]["on_blind"] == "hold"

    headers["If-Match"] = present.headers["etag"]
    assert (await drafted.call(method, "/v1/experiments/canary", headers=headers, **body)).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_change_waits_for_a_start_that_is_under_way(
    drafted: Client, engine: AsyncEngine, method: str
) -> None:
    """The naive way that fails: looking at the status before the route is held."""
    body = {"json": CHANGED} if method == "PUT" else {}
    async with engine.begin() as holding:
        await routes.get(holding, "chat", lock=True)
        starting = asyncio.create_task(drafted.post("/v1/experiments/canary/start"))
        changing = asyncio.create_task(drafted.call(method, "/v1/experiments/canary", **body))
        done, _ = await asyncio.wait({starting, changing}, timeout=0.3)
        assert not done
    statuses = (await starting).status, (await changing).status
    assert statuses in ((200, 409), (200, 200) if method == "PUT" else (404, 200))
    shown = await drafted.get("/v1/experiments/canary")
    if statuses == (200, 409):
        assert shown.body["definition"]["on_blind"] != "hold"
    elif method == "PUT":
        assert (shown.body["status"], shown.body["treatment_share"]) == ("running", 0.2)
