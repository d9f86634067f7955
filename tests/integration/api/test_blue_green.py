"""Deploying, checking, switching and going back, as an administrator sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.lifecycle import ALLOWED_IN
from services.routing.apply import apply_decision
from services.storage.tables import health_checks
from tests.integration.api.conftest import ADMIN_KEY, Answer, Client, define, newest_route, served
from tests.integration.api.gateways import KEY, Gateway, running_gateway

DEPLOYMENT = "/v1/experiments/next"
BODY: dict[str, Any] = {"key": "next", "route": "chat", "kind": "blue_green", "treatment": "new"}
QUICK: dict[str, Any] = {
    "checks": [{"name": "knows", "attempts": 2, "expect_content": {"contains": "Paris"}}],
    "checks_within_seconds": 1,
}


@pytest.fixture
async def gateway(engine: AsyncEngine) -> AsyncIterator[Gateway]:
    async with running_gateway(engine) as gateway:
        yield gateway


@pytest.fixture
async def client(engine: AsyncEngine, gateway: Gateway, tmp_path: Path) -> AsyncIterator[Client]:
    """A control plane that sends health checks through the gateway, with a route and its variants."""
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    settings = {"api_gateway_url": gateway.url, "api_gateway_key": SecretStr(f"file:{key}")}
    async with served(engine, **settings) as client:
        await define(client)
        yield client


async def started(client: Client, **changes: Any) -> Any:
    """The deployment as it is after /start."""
    await client.made("/v1/experiments", BODY | changes)
    answer = await client.post(f"{DEPLOYMENT}/start")
    assert answer.status == 200, answer.body
    return answer.body


async def slots(client: Client) -> dict[str, tuple[str | None, bool, float]]:
    shown = (await client.get("/v1/routes/chat")).body["slots"]
    return {name: (slot["variant"], slot["is_active"], slot["share"]) for name, slot in shown.items()}


async def applied(engine: AsyncEngine, answer: Answer) -> None:
    """Apply a decision as the routing service does."""
    assert answer.status == 202, answer.body
    assert await apply_decision(engine, UUID(answer.body["decision_id"])) == "applied"


async def test_start_deploys_to_the_idle_slot_and_checks_it(
    client: Client, gateway: Gateway, engine: AsyncEngine
) -> None:
    shown = await started(client)

    assert (shown["status"], shown["stage"], shown["phase"]) == ("running", "deployed", 1)
    assert shown["waiting_for"]["rule"] == "hold_for_switch"
    assert shown["waiting_for"]["sentence"].startswith("variant 'new' in slot green is healthy: all checks")
    assert await slots(client) == {"blue": ("old", True, 1.0), "green": ("new", False, 0.0)}
    route = await newest_route(engine)
    assert set(route.variants) == {"old", "new"}
    assert route.experiment is not None
    assert route.experiment.treatment_share_bp == 0
    assert {one["variant"] for one in gateway.asked} == {"new"}
    assert sorted(bool(one.get("stream")) for one in gateway.asked) == [False] * 3 + [True] * 2

    health = (await client.get(f"{DEPLOYMENT}/health")).body
    assert (health["healthy"], health["slot"], health["variant"]) == (True, "green", "new")
    (run,) = health["items"]
    assert (run["occasion"], run["passed"], run["allocation_version"]) == ("start", True, 2)
    assert [(check["name"], len(check["attempts"])) for check in run["checks"]] == [
        ("answers", 3),
        ("streams", 2),
    ]
    assert {one["text"] for check in run["checks"] for one in check["attempts"]} == {"The capital is Paris."}


async def test_a_failed_deployment_says_which_check_failed_and_with_what(
    client: Client, gateway: Gateway
) -> None:
    gateway.broken.add("new")
    why = "check 'answers' failed in 3 of 3 attempts; attempt 1: expected status 200, came status 500: out of"

    shown = await started(client)
    assert shown["waiting_for"]["rule"] == "unhealthy"
    assert why in shown["waiting_for"]["sentence"]
    switch = await client.post(f"{DEPLOYMENT}/switch")
    assert switch.status == 409
    assert why in switch.body["detail"]
    (run,) = (await client.get(f"{DEPLOYMENT}/health")).body["items"]
    assert run["checks"][0]["attempts"][0]["problems"] == [
        {"expected": "status 200", "came": "status 500: out of order"}
    ]
    assert await slots(client) == {"blue": ("old", True, 1.0), "green": ("new", False, 0.0)}

    gateway.broken.clear()
    assert (await client.post(f"{DEPLOYMENT}/switch")).status == 409, "nobody has checked it since"
    health = await client.post(f"{DEPLOYMENT}/health")
    assert (health.status, health.body["healthy"]) == (200, True)
    assert [run["occasion"] for run in health.body["items"]] == ["by_hand", "start"]
    assert (await client.post(f"{DEPLOYMENT}/switch")).status == 200


async def test_a_slot_that_was_never_checked_is_not_switched_to(client: Client, engine: AsyncEngine) -> None:
    await started(client)
    async with engine.begin() as connection:
        # As after a crash between the deployment and its checks.
        await connection.execute(sa.delete(health_checks))
    assert (await client.get(DEPLOYMENT)).body["waiting_for"]["rule"] == "unchecked"
    assert (await client.get(f"{DEPLOYMENT}/health")).body["healthy"] is None
    switch = await client.post(f"{DEPLOYMENT}/switch")
    assert switch.status == 409
    assert "'new' was never checked; POST /v1/experiments/next/health" in switch.body["detail"]


async def test_it_is_checked_again_at_the_moment_of_switching(client: Client, gateway: Gateway) -> None:
    await started(client)
    gateway.broken.add("new")
    switch = await client.post(f"{DEPLOYMENT}/switch")
    assert switch.status == 409
    assert "not healthy" in switch.body["detail"]
    newest = (await client.get(f"{DEPLOYMENT}/health")).body["items"][0]
    assert (newest["occasion"], newest["passed"]) == ("switch", False)
    assert (await client.get("/v1/routes/chat")).body["allocation"]["version"] == 2


async def test_a_switch_is_one_version_of_the_allocation(client: Client, engine: AsyncEngine) -> None:
    await started(client, holdback_share=0.1)
    switched = await client.post(f"{DEPLOYMENT}/switch", {"reason": "it is time"})

    assert switched.status == 200, switched.body
    assert (switched.body["stage"], switched.body["phase"]) == ("watch", 2)
    assert await slots(client) == {"blue": ("old", False, 0.1), "green": ("new", True, 0.9)}
    route = await newest_route(engine)
    assert route.allocation_version == 3
    assert route.experiment is not None
    assert (route.experiment.treatment_share_bp, route.experiment.phase) == (9_000, 2)
    assert route.experiment.on_blind == "hold"
    (change,) = [
        one
        for one in (await client.get("/v1/audit?subject=experiment/next")).body["items"]
        if one["action"] == "switch"
    ]
    assert change["reason"] == "it is time"
    assert (change["before"]["active_slot"], change["after"]["active_slot"]) == ("blue", "green")


async def test_of_two_switches_one_is_done(client: Client) -> None:
    await started(client)
    answers = await asyncio.gather(*(client.post(f"{DEPLOYMENT}/switch") for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert (await client.get("/v1/routes/chat")).body["allocation"]["version"] == 3


async def test_what_somebody_else_has_seen_is_neither_checked_nor_switched(
    client: Client, gateway: Gateway
) -> None:
    await started(client)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": '"seen-before"'}
    asked = len(gateway.asked)
    for verb in ("health", "switch", "rollback"):
        refused = await client.call("POST", f"{DEPLOYMENT}/{verb}", headers=headers)
        assert refused.status == 412, (verb, refused.body)
    assert len(gateway.asked) == asked
    headers["If-Match"] = (await client.get(DEPLOYMENT)).headers["etag"]
    assert (await client.call("POST", f"{DEPLOYMENT}/switch", headers=headers)).status == 200


async def test_the_same_request_again_deploys_and_switches_once(client: Client, gateway: Gateway) -> None:
    await client.made("/v1/experiments", BODY)
    for verb in ("start", "switch"):
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": verb}
        first = await client.call("POST", f"{DEPLOYMENT}/{verb}", headers=headers)
        asked = len(gateway.asked)
        again = await client.call("POST", f"{DEPLOYMENT}/{verb}", headers=headers)
        assert (first.status, again.status) == (200, 200)
        assert again.body == first.body
        assert again.headers["idempotency-replayed"] == "true"
        assert len(gateway.asked) == asked
    assert (await client.get("/v1/routes/chat")).body["allocation"]["version"] == 3


async def test_without_a_holdback_a_switch_is_a_promotion(client: Client, engine: AsyncEngine) -> None:
    await started(client, holdback_share=0.0)
    assert (await client.post(f"{DEPLOYMENT}/switch")).status == 200
    (decision,) = (await client.get(f"{DEPLOYMENT}/decisions")).body["items"]
    assert await apply_decision(engine, UUID(decision["decision_id"])) == "applied"
    shown = (await client.get(DEPLOYMENT)).body
    assert (shown["status"], shown["conclusion"], shown["promoted"]) == ("stopped", "promoted", "new")
    assert await slots(client) == {"blue": (None, False, 0.0), "green": ("new", True, 1.0)}


async def test_before_the_switch_a_rollback_takes_the_deployment_away(
    client: Client, gateway: Gateway, engine: AsyncEngine
) -> None:
    gateway.broken |= {"new", "old"}
    await started(client)
    await applied(engine, await client.post(f"{DEPLOYMENT}/rollback"))
    assert (await client.get(DEPLOYMENT)).body["conclusion"] == "rolled_back"
    assert await slots(client) == {"blue": ("old", True, 1.0), "green": (None, False, 0.0)}
    health = (await client.get(f"{DEPLOYMENT}/health")).body
    assert (health["slot"], health["variant"], len(health["items"])) == (None, None, 1)


async def test_nobody_goes_back_to_an_unhealthy_slot_but_by_override(
    client: Client, gateway: Gateway, engine: AsyncEngine
) -> None:
    await started(client)
    await client.post(f"{DEPLOYMENT}/switch")
    gateway.broken.add("old")
    refused = await client.post(f"{DEPLOYMENT}/rollback", {"reason": "complaints"})
    assert refused.status == 409
    assert "variant 'old' in slot blue, which would serve everybody, is not healthy" in refused.body["detail"]
    assert '"override": true' in refused.body["detail"]
    assert await slots(client) == {"blue": ("old", False, 0.05), "green": ("new", True, 0.95)}

    asked = len(gateway.asked)
    overridden = await client.post(f"{DEPLOYMENT}/rollback", {"reason": "complaints", "override": True})
    assert len(gateway.asked) == asked, "an emergency does not wait for checks"
    await applied(engine, overridden)
    assert await slots(client) == {"blue": ("old", True, 1.0), "green": (None, False, 0.0)}
    noted = (await client.get("/v1/audit?subject=experiment/next")).body["items"]
    (override,) = [one for one in noted if one["action"] == "override"]
    assert (override["reason"], override["after"]["variant"]) == ("complaints", "old")
    assert "status 500" in override["after"]["health"]


async def test_a_rollback_to_a_healthy_slot_needs_no_override(client: Client, engine: AsyncEngine) -> None:
    await started(client)
    await client.post(f"{DEPLOYMENT}/switch")
    await applied(engine, await client.post(f"{DEPLOYMENT}/rollback"))
    newest = (await client.get(f"{DEPLOYMENT}/health")).body["items"][0]
    assert (newest["occasion"], newest["slot"], newest["variant"]) == ("rollback", "blue", "old")
    noted = (await client.get("/v1/audit?subject=experiment/next")).body["items"]
    assert "override" not in {one["action"] for one in noted}


async def test_promote_ends_the_watch_early(client: Client, engine: AsyncEngine) -> None:
    await started(client)
    await client.post(f"{DEPLOYMENT}/switch")
    await applied(engine, await client.post(f"{DEPLOYMENT}/promote"))
    assert (await client.get(DEPLOYMENT)).body["conclusion"] == "promoted"
    assert await slots(client) == {"blue": (None, False, 0.0), "green": ("new", True, 1.0)}


DONE_IN: dict[str, set[str]] = {
    "draft": {"start"},
    "deployed": {"health", "switch", "rollback", "stop"},
    "watch": {"health", "promote", "rollback"},
    "stopped": set(),
}
WAY_TO = {
    "draft": [],
    "deployed": ["start"],
    "watch": ["start", "switch"],
    "stopped": ["start", "stop"],
}
BODIES = {"share": {"share": 0.2}, "split": {"traffic_share": 1.0}}


async def test_every_verb_at_every_stage_is_done_or_refused_with_a_reason(client: Client) -> None:
    for stage, way in WAY_TO.items():
        for verb in ALLOWED_IN:
            route = key = f"{verb}-{stage}"
            await client.made("/v1/routes", {"key": route, "stable": "old"})
            await client.made("/v1/experiments", BODY | QUICK | {"key": key, "route": route})
            for step in way:
                answer = await client.post(f"/v1/experiments/{key}/{step}")
                assert answer.status == 200, answer.body
            answer = await client.post(f"/v1/experiments/{key}/{verb}", BODIES.get(verb))
            if verb in DONE_IN[stage]:
                assert answer.status in (200, 202), (stage, verb, answer.body)
            else:
                assert answer.status == 409, (stage, verb, answer.body)
                assert answer.body["detail"].startswith(f"cannot {verb} '{key}': ")


async def test_a_gateway_that_has_not_learnt_of_it_yet_is_asked_again(
    client: Client, gateway: Gateway
) -> None:
    gateway.lags_for = 5
    shown = await started(client)
    assert shown["waiting_for"]["rule"] == "hold_for_switch"
    assert gateway.lags_for == 0
    (run,) = (await client.get(f"{DEPLOYMENT}/health")).body["items"]
    assert sum(len(check["attempts"]) for check in run["checks"]) == 5
    assert len(gateway.asked) == 10


async def test_a_gateway_that_never_learns_of_it_proves_nothing(client: Client, gateway: Gateway) -> None:
    gateway.lags_for = 10**6
    shown = await started(client, **QUICK)
    assert (
        "still serves allocation 1, not 2; is the routing service running?"
        in shown["waiting_for"]["sentence"]
    )
    assert (await client.post(f"{DEPLOYMENT}/switch")).status == 409


async def test_checks_are_over_in_their_time(client: Client, gateway: Gateway) -> None:
    gateway.hanging.add("new")
    shown = await started(client, **QUICK)
    assert "expected status 200, came no whole answer within" in shown["waiting_for"]["sentence"]
    (run,) = (await client.get(f"{DEPLOYMENT}/health")).body["items"]
    attempts = run["checks"][0]["attempts"]
    assert [one["passed"] for one in attempts] == [False, False]
    assert "no time left" in attempts[1]["problems"][0]["came"]


@pytest.mark.usefixtures("client")
async def test_a_gateway_that_is_not_there(engine: AsyncEngine) -> None:
    async with served(engine, api_gateway_url="http://127.0.0.1:9", api_gateway_key=SecretStr(KEY)) as lonely:
        shown = await started(lonely, **QUICK)
    assert "no answer of the gateway at http://127.0.0.1:9" in shown["waiting_for"]["sentence"]


async def test_without_a_gateway_to_ask_nothing_is_deployed(client: Client, engine: AsyncEngine) -> None:
    await client.made("/v1/experiments", BODY)
    async with served(engine) as unconfigured:
        refused = await unconfigured.post(f"{DEPLOYMENT}/start")
    assert refused.status == 409
    assert "HEADGATE_API_GATEWAY_URL" in refused.body["detail"]
    assert (await client.get(DEPLOYMENT)).body["status"] == "draft"


async def test_a_canary_and_a_deployment_do_not_share_a_route(client: Client) -> None:
    await client.made("/v1/variants", {"key": "other", "endpoints": ["openai"], "model": "m"})
    await client.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "other"})
    await started(client)
    refused = await client.post("/v1/experiments/canary/start")
    assert refused.status == 409
    assert "blue-green deployment 'next' is running on route 'chat'" in refused.body["detail"]
    dry = await client.post("/v1/experiments/dry-run", BODY | {"key": "another"})
    assert [one["blocks"] for one in dry.body["obstacles"]] == ["start"]


async def test_health_is_of_deployments(client: Client) -> None:
    await client.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
    assert (await client.get("/v1/experiments/canary/health")).status == 404
    refused = await client.post("/v1/experiments/canary/health")
    assert (refused.status, "judged on live traffic" in refused.body["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"treatment": "nobody"}, "treatment"),
        ({"treatment": "old"}, "treatment"),
        ({"checks": []}, "checks"),
        ({"checks": [{"name": "x", "expect_content": {"regex": "("}}]}, "checks[0].expect_content.regex"),
        ({"checks": [{"name": "x", "surface": "audio"}]}, "checks[0].surface"),
        ({"checks": [{"name": "x"}, {"name": "x"}]}, "checks"),
        ({"holdback_share": 0.7}, "holdback_share"),
        ({"steps": [0.1]}, "steps"),
    ],
)
async def test_what_is_wrong_with_a_definition(client: Client, changes: Any, field: str) -> None:
    refused = await client.post("/v1/experiments", BODY | changes)
    assert refused.status == 422
    assert [error["field"] for error in refused.body["errors"]] == [field]


async def test_keys_with_scopes(client: Client) -> None:
    made = await client.made("/v1/keys", {"label": "checks", "scopes": ["force_variant"]})
    assert made["scopes"] == ["force_variant"]
    listed = (await client.get("/v1/keys")).body["items"]
    assert [one["scopes"] for one in listed] == [["force_variant"]]
    refused = await client.post("/v1/keys", {"label": "checks", "scopes": ["everything"]})
    assert (refused.status, refused.body["errors"][0]["field"]) == (422, "scopes[0]")
