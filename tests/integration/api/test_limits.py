"""Limits of routes: who sets them, how they are shown, and that gateways learn of them."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.limits import Limits
from tests.integration.api.conftest import ADMIN_KEY, Client, newest_route

BODY = {"limits": {"tokens_per_minute": 200_000}, "unit_limits": {"requests_per_minute": 30}}


async def test_limits_of_a_route_are_set_shown_and_published(defined: Client, engine: AsyncEngine) -> None:
    before = await defined.get("/v1/routes/chat")
    assert (before.body["limits"], before.body["unit_limits"]) == (None, None)

    after = await defined.put("/v1/routes/chat/limits", BODY)
    assert after.status == 200
    assert after.body["limits"]["tokens_per_minute"] == 200_000
    assert after.body["unit_limits"]["requests_per_minute"] == 30
    assert after.body["allocation"] == before.body["allocation"]
    shown = await defined.get("/v1/routes/chat")
    assert (shown.body, shown.headers["etag"]) == (after.body, after.headers["etag"])
    state = await newest_route(engine)
    assert (state.limits, state.unit_limits) == (
        Limits(tokens_per_minute=200_000),
        Limits(requests_per_minute=30),
    )
    seen = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": before.headers["etag"]}
    late = await defined.call("PUT", "/v1/routes/chat/limits", json={}, headers=seen)
    assert late.status == 412
    (newest,) = (await defined.get("/v1/audit?limit=1")).body["items"]
    assert (newest["action"], newest["subject"]) == ("set_limits", "route/chat")
    assert newest["after"]["unit_limits"]["requests_per_minute"] == 30

    assert (await defined.put("/v1/routes/chat/limits", {"limits": {}})).body["limits"] is None
    assert (await newest_route(engine)).unit_limits is None


async def test_limits_stay_through_an_experiment(defined: Client, engine: AsyncEngine) -> None:
    await defined.put("/v1/routes/chat/limits", BODY)
    await defined.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
    assert (await defined.post("/v1/experiments/canary/start")).status == 200

    state = await newest_route(engine)
    assert state.experiment is not None
    assert state.limits == Limits(tokens_per_minute=200_000)


async def test_a_route_begins_with_limits_if_an_admin_says_so(defined: Client, engine: AsyncEngine) -> None:
    editor = (await defined.made("/v1/keys", {"label": "ed", "role": "editor"}))["key"]
    headers = {"Authorization": f"Bearer {editor}"}
    body = {"key": "limited", "stable": "old"}

    refused = await defined.call("POST", "/v1/routes", json=body | BODY, headers=headers)
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert "setting limits takes the role admin" in refused.body["detail"]
    assert (await defined.get("/v1/routes/limited")).status == 404
    assert (await defined.call("POST", "/v1/routes", json=body, headers=headers)).status == 201
    made = await defined.made("/v1/routes", {"key": "limited-too", "stable": "old"} | BODY)
    assert made["limits"]["tokens_per_minute"] == 200_000
    assert (await newest_route(engine)).limits == Limits(tokens_per_minute=200_000)


async def test_only_an_admin_has_contents_of_a_route_kept(defined: Client) -> None:
    editor = (await defined.made("/v1/keys", {"label": "ed", "role": "editor"}))["key"]
    headers = {"Authorization": f"Bearer {editor}"}
    body = {"key": "kept", "stable": "old", "record_content": True}

    refused = await defined.call("POST", "/v1/routes", json=body, headers=headers)
    assert refused.status == 403
    assert "having prompts and answers kept takes the role admin" in refused.body["detail"]
    set_later = await defined.call(
        "PUT", "/v1/routes/chat/recording", json={"record_content": True}, headers=headers
    )
    assert set_later.status == 403
    assert (await defined.get("/v1/routes/chat")).body["record_content"] is False
    assert (await defined.made("/v1/routes", body))["record_content"] is True


async def test_a_route_cannot_be_called_as_an_address_is(defined: Client) -> None:
    answer = await defined.post("/v1/routes", {"key": "chat/limits", "stable": "old"})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "key")
