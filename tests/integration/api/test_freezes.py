"""Freezing one route or all: shown, audited, each lifted by itself."""

from typing import Any

import pytest

from tests.integration.api.conftest import Client

REASON = {"reason": "launch week"}
EVERYTHING, ROUTE = "/v1/freeze", "/v1/routes/chat/freeze"


async def scopes(client: Client, path: str) -> list[str]:
    body: Any = (await client.get(path)).body
    return [freeze["scope"] for freeze in body["freezes"]]


async def test_a_freeze_is_shown_until_it_is_lifted(drafted: Client) -> None:
    everywhere = (EVERYTHING, ROUTE, "/v1/routes/chat", "/v1/experiments/canary")
    assert [await scopes(drafted, path) for path in everywhere] == [[], [], [], []]

    frozen = (await drafted.put(ROUTE, REASON)).body
    assert frozen["frozen"] is True
    assert [(one["scope"], one["actor"], one["reason"]) for one in frozen["freezes"]] == [
        ("chat", "admin", "launch week")
    ]
    await drafted.put(EVERYTHING, {"reason": "an incident"})
    both = ["*", "chat"]
    assert [await scopes(drafted, path) for path in everywhere] == [["*"], both, both, both]

    lifted = (await drafted.call("DELETE", ROUTE)).body
    assert (lifted["frozen"], await scopes(drafted, ROUTE)) == (True, ["*"])
    assert (await drafted.call("DELETE", EVERYTHING)).body == {"frozen": False, "freezes": []}
    assert [await scopes(drafted, path) for path in everywhere] == [[], [], [], []]


@pytest.mark.parametrize(("address", "subject"), [(EVERYTHING, "route/*"), (ROUTE, "route/chat")])
async def test_who_froze_and_lifted_is_in_the_audit(defined: Client, address: str, subject: str) -> None:
    for method in ("put", "put", "delete", "delete"):
        body = {"json": REASON} if method == "put" else {}
        assert (await defined.call(method.upper(), address, **body)).status == 200

    trail = (await defined.get(f"/v1/audit?subject={subject}")).body["items"]
    assert [(one["action"], one["actor"]) for one in trail if one["action"] != "create"] == [
        ("lift_freeze", "admin"),
        ("freeze", "admin"),
        ("freeze", "admin"),
    ]
    assert trail[0]["before"]["reason"] == "launch week"


async def test_an_unknown_route_cannot_be_frozen(defined: Client) -> None:
    for method in ("GET", "DELETE"):
        assert (await defined.call(method, "/v1/routes/nowhere/freeze")).status == 404
    assert (await defined.put("/v1/routes/nowhere/freeze", REASON)).status == 404


async def test_a_reason_is_needed(defined: Client) -> None:
    answer = await defined.put(EVERYTHING, {})
    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == ["reason"]


async def test_a_route_with_slashes_can_be_frozen_and_none_is_called_like_the_address(
    defined: Client,
) -> None:
    await defined.made("/v1/routes", {"key": "team/chat", "stable": "old"})
    assert (await defined.put("/v1/routes/team/chat/freeze", REASON)).body["frozen"] is True
    answer = await defined.post("/v1/routes", {"key": "team/freeze", "stable": "old"})
    assert answer.status == 422
    assert "must not end in /freeze" in answer.body["detail"]


async def test_a_freeze_that_somebody_changed_since_is_left_alone(defined: Client) -> None:
    seen = (await defined.get(EVERYTHING)).headers["etag"]
    await defined.put(EVERYTHING, REASON)
    headers = {"Authorization": "Bearer admin-of-the-tests", "If-Match": seen}
    assert (await defined.call("DELETE", EVERYTHING, headers=headers)).status == 412
    assert await scopes(defined, EVERYTHING) == ["*"]


async def test_what_a_plan_may_ask_approval_for(defined: Client) -> None:
    async def refused(points: list[Any]) -> str:
        plan = {"steps": [0.1, 0.2], "approve_before": points}
        body = {"key": "c", "route": "chat", "treatment": "new", "plan": plan}
        answer = await defined.post("/v1/experiments", body)
        assert answer.status == 422, answer.body
        return str(answer.body["errors"][0]["field"])

    assert await refused([0]) == "plan.approve_before[0]"
    assert await refused([2]) == "plan.approve_before[0]"
    assert await refused([1, "later"]) == "plan.approve_before[1]"
    assert await refused([1, 1]) == "plan.approve_before"
