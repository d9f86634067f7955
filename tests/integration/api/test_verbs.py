"""What the verbs do to traffic, the audit and the outbox. Which of them is allowed when: test_lifecycle."""

from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.events import DecisionEvent
from services.storage import experiments
from services.storage.tables import decisions, evaluations, outbox
from tests.integration.api.conftest import (
    Answer,
    Client,
    newest_route,
)

CANARY = "/v1/experiments/canary"
BODIES = {"share": {"share": 0.2}, "split": {"traffic_share": 1.0}}


async def do(client: Client, verb: str, key: str = "canary") -> Answer:
    return await client.post(f"/v1/experiments/{key}/{verb}", BODIES.get(verb))


async def test_start_gives_the_first_share(drafted: Client, engine: AsyncEngine) -> None:
    started = (await do(drafted, "start")).body

    assert (started["status"], started["treatment_share"]) == ("running", 0.05)
    assert started["started_at"] == started["step_started_at"]
    assert started["allocation"]["weights"] == {"old": 0.95, "new": 0.05}
    assert started["waiting_for"]["rule"] == "not_evaluated_yet"
    route = await newest_route(engine)
    assert route.experiment is not None
    assert route.experiment.experiment_id == UUID(started["experiment_id"])
    assert route.experiment.treatment_share_bp == 500
    assert set(route.variants) == {"old", "new"}
    assert route.allocation_version == 2


async def test_pause_and_resume_keep_share_step_and_evidence(drafted: Client, engine: AsyncEngine) -> None:
    await do(drafted, "start")
    before = (await do(drafted, "share")).body
    paused = (await do(drafted, "pause")).body

    assert (paused["status"], paused["treatment_share"], paused["phase"]) == ("paused", 0, before["phase"])
    assert paused["waiting_for"]["rule"] == "paused"
    route = await newest_route(engine)
    assert route.experiment is not None
    assert route.experiment.treatment_share_bp == 0

    resumed = (await do(drafted, "resume")).body
    assert (resumed["status"], resumed["treatment_share"], resumed["phase"]) == ("running", 0.2, 1)
    assert resumed["step_started_at"] == before["step_started_at"]


async def test_stop_is_inconclusive_and_the_control_serves(drafted: Client, engine: AsyncEngine) -> None:
    await do(drafted, "start")
    stopped = (await do(drafted, "stop")).body

    assert (stopped["status"], stopped["conclusion"]) == ("stopped", "inconclusive")
    assert stopped["stopped_at"]
    assert stopped["waiting_for"] is None
    route = await newest_route(engine)
    assert (route.stable, route.experiment, set(route.variants)) == ("old", None, {"old"})


async def test_why_an_experiment_was_stopped_by_hand_is_shown_with_it(drafted: Client) -> None:
    started = (await do(drafted, "start")).body
    stopped = await drafted.post(f"{CANARY}/stop", {"reason": "enough"})
    shown = (await drafted.get(CANARY)).body

    assert started["concluded_because"] is None
    assert stopped.body["concluded_because"] == shown["concluded_because"] == "enough (stopped by admin)"
    (listed,) = (await drafted.get("/v1/experiments?status=stopped")).body["items"]
    assert listed["concluded_because"] == shown["concluded_because"]


@pytest.mark.parametrize("action", ["promote", "rollback"])
async def test_a_decision_by_hand_is_recorded_once(drafted: Client, engine: AsyncEngine, action: str) -> None:
    await do(drafted, "start")
    first = await drafted.post(f"{CANARY}/{action}", {"reason": "I have seen enough"})
    again = await do(drafted, action)

    assert (first.status, again.status) == (202, 202)
    assert again.body == first.body
    assert (first.body["actor"], first.body["reason"]) == ("admin", "I have seen enough")
    assert first.body["state"] == "recorded"
    listed = (await drafted.get(f"{CANARY}/decisions")).body["items"]
    assert listed == [first.body]
    query = sa.select(outbox.c.value).where(outbox.c.topic == "decisions.v1")
    async with engine.connect() as connection:
        values = (await connection.scalars(query)).all()
    (event,) = [msgspec.json.decode(value, type=DecisionEvent) for value in values]
    assert str(event.decision_id) == first.body["decision_id"]
    waiting = (await drafted.get(CANARY)).body["waiting_for"]
    assert f"{action} is decided" in waiting["sentence"]


async def test_promoting_while_an_advance_is_applied_is_a_conflict(
    drafted: Client, engine: AsyncEngine
) -> None:
    await do(drafted, "start")
    await do(drafted, "promote")
    async with engine.begin() as connection:
        await connection.execute(sa.update(decisions).values(action="advance"))

    answer = await do(drafted, "promote")
    assert answer.status == 409
    assert "advance" in answer.body["detail"]


async def test_one_canary_at_a_time_on_a_route(drafted: Client) -> None:
    await drafted.made("/v1/experiments", {"key": "second", "route": "chat", "treatment": "new"})
    await do(drafted, "start")

    answer = await do(drafted, "start", "second")
    assert answer.status == 409
    assert "'canary' is running on route 'chat'" in answer.body["detail"]

    await do(drafted, "stop")
    assert (await do(drafted, "start", "second")).status == 200


async def test_a_variant_that_is_measured_cannot_be_changed(drafted: Client) -> None:
    await do(drafted, "start")
    for key in ("old", "new"):
        answer = await drafted.put(f"/v1/variants/{key}", {"endpoints": ["openai"]})
        assert answer.status == 409
        assert "'canary'" in answer.body["detail"]
    await do(drafted, "stop")
    assert (await drafted.put("/v1/variants/old", {"endpoints": ["openai"]})).status == 200


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, 0.00001])
async def test_a_share_that_cannot_be_measured(drafted: Client, share: float) -> None:
    await do(drafted, "start")
    answer = await drafted.post(f"{CANARY}/share", {"share": share})

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == ["share"]


async def test_the_history_of_the_split(drafted: Client) -> None:
    for verb in ("start", "share", "pause", "resume", "stop"):
        await do(drafted, verb)

    items = (await drafted.get("/v1/routes/chat/allocations")).body["items"]
    assert [item["version"] for item in items] == [6, 5, 4, 3, 2, 1]
    assert [item["treatment_share"] for item in items] == [0, 0.2, 0, 0.2, 0.05, 0]
    trail = (await drafted.get("/v1/audit?subject=experiment/canary")).body["items"]
    assert [one["action"] for one in trail] == ["stop", "resume", "pause", "share", "start", "create"]


async def test_what_it_is_waiting_for_comes_from_the_evaluation(drafted: Client, engine: AsyncEngine) -> None:
    await do(drafted, "start")
    body = {
        "judgement": {"kind": "hold", "rule": "hold_for_step_units", "have": 40, "need": 100},
        "verdicts": [{"metric": "error_rate", "verdict": "pass"}],
    }
    async with engine.begin() as connection:
        canary = await experiments.get(connection, "canary")
        row = {"experiment_id": canary.experiment_id, "phase": 1, "rule": "hold_for_step_units"}
        await connection.execute(sa.insert(evaluations).values(sentence="40 of 100 units", body=body, **row))

    waiting = (await drafted.get(CANARY)).body["waiting_for"]
    assert (waiting["sentence"], waiting["have"], waiting["need"]) == ("40 of 100 units", 40, 100)
    assert waiting["verdicts"] == body["verdicts"]
    assert waiting["evaluated_at"]


async def test_listing_by_route_and_status(drafted: Client) -> None:
    await drafted.made("/v1/experiments", {"key": "second", "route": "chat", "treatment": "new"})
    await do(drafted, "start")

    async def keys(query: str) -> list[str]:
        answer = await drafted.get(f"/v1/experiments?{query}")
        return [item["key"] for item in answer.body["items"]]

    assert await keys("route=chat") == ["second", "canary"]
    assert await keys("status=running") == ["canary"]
    assert await keys("route=nowhere") == []
