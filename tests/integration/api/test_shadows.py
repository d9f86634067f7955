"""Shadows at the control plane: drafting, verbs, what is published, and what is shown of them."""

import time
import uuid
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.assignment import unit_hash
from services.domain.events import Comparison, Likeness, ShadowCoverage, Side
from services.domain.status import OutcomeStatus
from services.storage import comparisons
from tests.integration.api.conftest import Client, newest_route

SHADOW = {"key": "shadow", "route": "chat", "kind": "shadow", "treatment": "new"}
PRICED = {
    "kind": "openai",
    "base_url": "https://llm.test/v1",
    "prices": {"input_per_million": 1.0, "output_per_million": 2.0},
}


@pytest.fixture
async def shadowed(defined: Client) -> Client:
    """The shadow ``shadow`` drafted on the route."""
    await defined.made("/v1/experiments", SHADOW)
    return defined


async def started(client: Client) -> dict[str, Any]:
    answer = await client.post("/v1/experiments/shadow/start")
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def compared(experiment_id: str, unit: str, similarity: float | None, **changes: Any) -> Comparison:
    likeness = None if similarity is None else Likeness(similarity == 1.0, similarity == 1.0, similarity)
    values: dict[str, Any] = {
        "comparison_id": uuid.uuid4(),
        "experiment_id": uuid.UUID(experiment_id),
        "phase": 1,
        "route_key": "chat",
        "unit_hash": unit_hash(unit),
        "occurred_at_us": int(time.time() * 1e6),
        "streamed": False,
        "production": Side("old", OutcomeStatus.OK, 200, 2_000_000, None, 5, 10, 1_000),
        "shadow": Side("new", OutcomeStatus.OK, 200, 1_500_000, None, 5, 20, 3_000),
        "likeness": likeness,
    }
    return Comparison(**(values | changes))


async def test_what_is_published(shadowed: Client, engine: AsyncEngine) -> None:
    view = await started(shadowed)
    route = await newest_route(engine)
    assert route.shadow is not None
    assert (route.shadow.variant, route.shadow.sample_bp) == ("new", 1_000)
    assert str(route.shadow.experiment_id) == view["experiment_id"] == route.shadow.salt
    assert set(route.variants) == {"old", "new"}
    assert route.shadow.ends_at == pytest.approx(time.time() + 24 * 3600, abs=60)
    shown = view["allocation"]["shadow"]
    assert shown == {"experiment_id": view["experiment_id"], "variant": "new", "sample_share": 0.1}
    assert view["allocation"]["weights"] == {"old": 1.0}

    await shadowed.post("/v1/experiments/shadow/pause")
    paused = await newest_route(engine)
    assert paused.shadow is not None
    assert paused.shadow.sample_bp == 0
    await shadowed.post("/v1/experiments/shadow/resume")
    resumed = await newest_route(engine)
    assert resumed.shadow is not None
    assert resumed.shadow.sample_bp == 1_000
    stopped = (await shadowed.post("/v1/experiments/shadow/stop")).body
    assert (stopped["status"], stopped["conclusion"]) == ("stopped", "inconclusive")
    assert (await newest_route(engine)).shadow is None


@pytest.mark.parametrize(
    ("verb", "body", "says"),
    [
        ("promote", {}, "start a canary"),
        ("rollback", {}, "/stop ends it"),
        ("share", {"share": 0.5}, "draft another one"),
        ("split", {"traffic_share": 0.5}, "draft another one"),
    ],
)
async def test_verbs_that_are_refused(shadowed: Client, verb: str, body: Any, says: str) -> None:
    await started(shadowed)
    answer = await shadowed.post(f"/v1/experiments/shadow/{verb}", body)
    assert answer.status == 409
    assert says in answer.body["detail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"treatment": "old"}, "treatment"),
        ({"treatment": "unknown"}, "treatment"),
        ({"sample_share": 2.0}, "sample_share"),
        ({"ignore_paths": ["id"]}, "ignore_paths[0]"),
        ({"text_days": 30}, "text_days"),
        ({"cost_limit_per_hour": 1.0}, "cost_limit_per_hour"),
        ({"steps": [0.1]}, "steps"),
    ],
)
async def test_drafts_that_are_refused(defined: Client, changes: dict[str, Any], field: str) -> None:
    answer = await defined.post("/v1/experiments", SHADOW | changes)
    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]


async def test_a_cost_limit_needs_prices(defined: Client) -> None:
    assert (await defined.put("/v1/endpoints/openai", PRICED)).status == 200
    await defined.made("/v1/experiments", SHADOW | {"cost_limit_per_hour": 1.0})


async def test_one_shadow_beside_a_canary(shadowed: Client) -> None:
    await started(shadowed)
    await shadowed.made("/v1/variants", {"key": "other", "endpoints": ["openai"], "model": "model-other"})
    await shadowed.made("/v1/experiments", SHADOW | {"key": "second", "treatment": "other"})
    assert (await shadowed.post("/v1/experiments/second/start")).status == 409
    await shadowed.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "other"})
    allocation = (await shadowed.post("/v1/experiments/canary/start")).body["allocation"]
    assert (allocation["treatment"], allocation["shadow"]["variant"]) == ("other", "new")
    await shadowed.post("/v1/experiments/canary/stop")
    assert (await shadowed.get("/v1/routes/chat")).body["allocation"]["shadow"]["variant"] == "new"


async def test_what_a_shadow_is_waiting_for(shadowed: Client) -> None:
    def rule(answer: Any) -> str:
        return str(answer.body["waiting_for"]["rule"])

    assert rule(await shadowed.get("/v1/experiments/shadow")) == "draft"
    await started(shadowed)
    assert rule(await shadowed.get("/v1/experiments/shadow")) == "mirroring"
    assert rule(await shadowed.post("/v1/experiments/shadow/pause")) == "paused"
    refused = await shadowed.get("/v1/experiments/shadow/results")
    assert refused.status == 409
    assert "/comparisons" in refused.body["detail"]


async def allow_recording(client: Client, *, recorded: bool) -> None:
    """Say whether texts of the route may be kept."""
    answer = await client.put("/v1/routes/chat/recording", {"record_content": recorded})
    assert (answer.status, answer.body["record_content"]) == (200, recorded)


async def test_texts_are_kept_as_long_as_the_route_allows_it(defined: Client, engine: AsyncEngine) -> None:
    await allow_recording(defined, recorded=True)
    await defined.made("/v1/experiments", SHADOW | {"keep_text": True})
    await started(defined)
    for recorded in (True, False, True):
        await allow_recording(defined, recorded=recorded)
        route = await newest_route(engine)
        assert route.record_content is recorded
        assert route.shadow is not None
        assert route.shadow.keep_text is recorded
    entries = (await defined.get("/v1/audit?limit=1")).body["items"]
    assert [(one["action"], one["before"], one["after"]) for one in entries] == [
        ("set_recording", {"record_content": False}, {"record_content": True})
    ]


async def test_a_dry_run_says_what_it_would_do(defined: Client) -> None:
    asked = SHADOW | {"keep_text": True, "text_days": 3}
    refused = await defined.post("/v1/experiments", asked)
    assert (refused.status, refused.body["errors"][0]["field"]) == (422, "keep_text")
    await allow_recording(defined, recorded=True)
    found = await defined.post("/v1/experiments/dry-run", asked)
    assert found.status == 200
    assert found.body["could_be_started"]
    assert any("after 3 days" in line for line in found.body["it_would"])
    assert any("no cost limit" in line for line in found.body["warnings"])
    assert found.body["detectable"] == []


async def test_no_comparisons_are_said_as_such(shadowed: Client, engine: AsyncEngine) -> None:
    async def shown() -> Any:
        return (await shadowed.get("/v1/experiments/shadow/comparisons")).body

    draft = await shown()
    assert draft["no_comparisons"].startswith("no comparisons yet: POST /v1/experiments/shadow/start")
    assert (draft["report"], draft["items"]) == (None, [])
    view = await started(shadowed)
    assert (await shown())["no_comparisons"].startswith("no comparisons yet: no request")
    coverage = ShadowCoverage(uuid.UUID(view["experiment_id"]), 1, 7, 0, 0, {"queue_full": 7}, 0)
    async with engine.begin() as connection:
        await comparisons.add_coverage(connection, uuid.uuid4(), [coverage])
    assert "7 requests were sampled (7 queue_full)" in (await shown())["no_comparisons"]
    async with engine.begin() as connection:
        await comparisons.add(connection, [compared(view["experiment_id"], "ann", None)])
    failed = await shown()
    assert "none was answered by both" in failed["no_comparisons"]
    assert failed["report"]["match"]["exact"]["insufficient"]


async def test_the_report_and_the_newest_comparisons(shadowed: Client, engine: AsyncEngine) -> None:
    experiment_id = (await started(shadowed))["experiment_id"]
    likeness = [1.0] * 60 + [0.95] * 20 + [0.2] * 20
    stored = [compared(experiment_id, f"unit-{i}", alike) for i, alike in enumerate(likeness)]
    now = int(time.time() * 1e6)
    newest = compared(
        experiment_id, "ann", 0.95, texts=("yes", "ja"), text_days=1, occurred_at_us=now + 10**6
    )
    async with engine.begin() as connection:
        await comparisons.add(connection, [*stored, newest])

    found = (await shadowed.get("/v1/experiments/shadow/comparisons?limit=3")).body
    match, report = found["report"]["match"], found["report"]
    assert report["comparisons"] == 101
    assert match["exact"]["rate"] == pytest.approx(60 / 101)
    assert match["similar"]["rate"] == pytest.approx(81 / 101)
    assert match["exact"]["lower"] < 60 / 101 < match["exact"]["upper"]
    assert report["latency"]["difference"] == pytest.approx(-0.5)
    assert report["latency"]["insufficient"] is not None  # all differ by the same
    assert report["completion_tokens"]["difference"] == pytest.approx(10)
    assert report["cost"]["difference"] == pytest.approx(2e-6)
    assert report["shadow_faster"]["rate"] == 1.0
    assert len(found["items"]) == 3
    first = found["items"][0]
    assert (first["match"], first["similarity"]) == ("similar", 0.95)
    assert (first["production"]["text"], first["shadow"]["text"]) == ("yes", "ja")
    assert first["latency_difference_seconds"] == pytest.approx(-0.5)
    assert found["items"][1]["production"]["text"] is None


async def test_only_shadows_have_comparisons(drafted: Client) -> None:
    answer = await drafted.get("/v1/experiments/canary/comparisons")
    assert answer.status == 409
    assert "this is for shadows" in answer.body["detail"]
