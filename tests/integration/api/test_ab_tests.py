"""A/B tests through a running control plane: drafted, started, split anew, ended."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import experiments, phases, routes
from tests.integration.api.conftest import AB_TEST, Answer, Client, newest_route

TEST = "/v1/experiments/test"


async def do(client: Client, verb: str, body: Any = None, key: str = "test") -> Answer:
    answer = await client.post(f"/v1/experiments/{key}/{verb}", body)
    assert answer.status in (200, 202), answer.body
    return answer


async def test_a_draft_holds_its_metrics_definitions(tested: Client) -> None:
    body = (await tested.get(TEST)).body

    assert (body["kind"], body["status"], body["control"]) == ("ab_test", "draft", "old")
    assert [one["key"] for one in body["variants"]] == ["old", "short"]
    assert [one["role"] for one in body["variants"]] == ["control", "treatment"]
    known = {metric["key"]: metric for metric in body["definition"]["metrics"]}
    assert known.keys() == {"satisfaction_rate", "error_rate"}
    assert known["satisfaction_rate"]["source"] == "feedback:satisfaction"
    assert "/test/start starts it" in body["waiting_for"]["sentence"]


async def test_without_weights_the_shares_are_equal(tested: Client) -> None:
    variants = [{"key": key} for key in ("old", "short", "long")]
    body = await tested.made("/v1/experiments", AB_TEST | {"key": "three", "variants": variants})

    weights = [variant["weight"] for variant in body["definition"]["variants"]]
    assert weights == [0.3334, 0.3333, 0.3333]


async def test_start_lays_the_test_over_the_route(tested: Client, engine: AsyncEngine) -> None:
    started = (await do(tested, "start")).body

    assert started["status"] == "running"
    assert [variant["share"] for variant in started["variants"]] == [0.25, 0.25]
    assert started["allocation"]["weights"] == {"old": 0.75, "short": 0.25}
    route = await newest_route(engine)
    assert route.experiment is None
    assert route.test is not None
    assert route.test.experiment_id == UUID(started["experiment_id"])
    assert (route.test.traffic_bp, route.test.weights_bp) == (5_000, (5_000, 5_000))
    assert route.test.variants == ("old", "short")
    assert set(route.variants) == {"old", "short"}
    async with engine.connect() as connection:
        (phase,) = await phases.of_experiment(connection, UUID(started["experiment_id"]))
    assert phase.split is not None
    assert (phase.phase, phase.split.traffic_bp, phase.ended_at) == (1, 5_000, None)


@pytest.mark.parametrize("order", [("canary", "test"), ("test", "canary")])
async def test_a_canary_and_a_test_run_side_by_side(
    tested: Client, engine: AsyncEngine, order: tuple[str, str]
) -> None:
    for key in order:
        await do(tested, "start", key=key)

    route = await newest_route(engine)
    assert route.experiment is not None
    assert route.test is not None
    assert (route.experiment.treatment, route.experiment.treatment_share_bp) == ("new", 500)
    assert set(route.variants) == {"old", "new", "short"}
    weights = (await tested.get("/v1/routes/chat")).body["allocation"]["weights"]
    assert weights == pytest.approx({"old": 0.95 * 0.75, "new": 0.05 * 0.75, "short": 0.25})

    await do(tested, "stop", key="canary")
    assert (await newest_route(engine)).test is not None


async def test_one_test_at_a_time_and_no_treatment_twice(tested: Client) -> None:
    await tested.made("/v1/experiments", AB_TEST | {"key": "second"})
    await tested.made("/v1/experiments", {"key": "same", "route": "chat", "treatment": "short"})
    await do(tested, "start")

    second = await tested.post("/v1/experiments/second/start")
    same = await tested.post("/v1/experiments/same/start")

    assert second.status == same.status == 409
    assert "A/B test 'test' is running on route 'chat', and one at a time" in second.body["detail"]
    assert "has the treatment 'short' too" in same.body["detail"]


async def test_pause_takes_nobody_in_and_resume_goes_on_as_before(
    tested: Client, engine: AsyncEngine
) -> None:
    await do(tested, "start")
    paused = (await do(tested, "pause")).body
    during = await newest_route(engine)
    resumed = (await do(tested, "resume")).body

    assert (paused["status"], paused["phase"]) == ("paused", 1)
    assert [variant["share"] for variant in paused["variants"]] == [0, 0]
    assert paused["waiting_for"]["rule"] == "paused"
    assert during.test is not None
    assert during.test.traffic_bp == 0
    assert (resumed["status"], resumed["phase"]) == ("running", 1)
    assert [variant["share"] for variant in resumed["variants"]] == [0.25, 0.25]


async def test_another_split_is_another_phase(tested: Client, engine: AsyncEngine) -> None:
    await do(tested, "start")
    # The order of what is sent does not matter: a variant keeps its place.
    variants = [{"key": "short", "weight": 0.2}, {"key": "old", "weight": 0.8}]
    split = (await do(tested, "split", {"variants": variants, "traffic_share": 1, "reason": "more"})).body

    assert (split["phase"], split["definition"]["traffic_share"]) == (2, 1.0)
    assert [(one["key"], one["share"]) for one in split["variants"]] == [("old", 0.8), ("short", 0.2)]
    route = await newest_route(engine)
    assert route.test is not None
    assert (route.test.phase, route.test.variants, route.test.weights_bp) == (
        2,
        ("old", "short"),
        (8_000, 2_000),
    )
    async with engine.connect() as connection:
        first, second = await phases.of_experiment(connection, UUID(split["experiment_id"]))
    assert first.split is not None
    assert second.split is not None
    assert first.ended_at == second.started_at
    assert (first.split.weights_bp, second.split.weights_bp) == ((5_000, 5_000), (8_000, 2_000))
    trail = (await tested.get("/v1/audit?subject=experiment/test")).body["items"]
    assert (trail[0]["action"], trail[0]["reason"]) == ("split", "more")


async def test_the_same_split_again_changes_nothing(tested: Client) -> None:
    await do(tested, "start")
    before = (await tested.get(TEST)).body

    after = (await do(tested, "split", {"traffic_share": 0.5})).body

    assert (after["phase"], after["allocation"]["version"]) == (1, before["allocation"]["version"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "variants"),
        ({"traffic_share": 0}, "traffic_share"),
        ({"traffic_share": 1.1}, "traffic_share"),
        ({"traffic_share": 0.00001}, "traffic_share"),
        ({"variants": [{"key": "old", "weight": 1.0}]}, "variants"),
        ({"variants": [{"key": "old", "weight": 0.5}, {"key": "new", "weight": 0.5}]}, "variants"),
        ({"variants": [{"key": "old", "weight": 0.5}, {"key": "short", "weight": 0.4}]}, "variants"),
        ({"variants": [{"key": "old", "weight": 0.5}, {"key": "short"}]}, "variants[1].weight"),
        ({"weights": [1]}, "weights"),
    ],
)
async def test_a_split_that_is_none_names_the_field(tested: Client, body: Any, field: str) -> None:
    await do(tested, "start")
    answer = await tested.post(f"{TEST}/split", body)

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]


async def test_the_control_must_be_what_is_stable_when_it_starts(tested: Client, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        route = await routes.get(connection, "chat", lock=True)
        moved = route.allocation.without_experiment("new")
        await routes.reallocate(connection, moved, actor="test", reason="promoted")

    answer = await tested.post(f"{TEST}/start")

    assert answer.status == 409
    assert "by now the route's stable variant is 'new'" in answer.body["detail"]


async def test_promote_names_one_of_several_treatments(tested: Client) -> None:
    variants = [{"key": key} for key in ("old", "short", "long")]
    await tested.made("/v1/experiments", AB_TEST | {"key": "three", "variants": variants})
    await do(tested, "start", key="three")

    refused = {
        body: (await tested.post("/v1/experiments/three/promote", {"variant": body} if body else None))
        for body in (None, "old", "new")
    }
    promoted = await do(tested, "promote", {"variant": "long"}, key="three")
    again = await do(tested, "promote", {"variant": "long"}, key="three")
    another = await tested.post("/v1/experiments/three/promote", {"variant": "short"})

    assert {answer.status for answer in refused.values()} == {422}
    assert "name one of the treatments: short, long" in refused[None].body["detail"]
    assert "is the control" in refused["old"].body["detail"]
    assert "must be one of the test's treatments" in refused["new"].body["detail"]
    assert promoted.body["variant"] == "long"
    assert again.body == promoted.body
    assert another.status == 409
    assert "the decision to promote 'long'" in another.body["detail"]


async def test_no_promotion_while_a_canary_is_live(tested: Client) -> None:
    await do(tested, "start")
    await do(tested, "start", key="canary")

    answer = await tested.post(f"{TEST}/promote")

    assert answer.status == 409
    assert "a canary is live on the route" in answer.body["detail"]


async def test_stop_gives_everybody_the_control(tested: Client, engine: AsyncEngine) -> None:
    await do(tested, "start")
    stopped = (await do(tested, "stop")).body

    assert (stopped["status"], stopped["conclusion"]) == ("stopped", "inconclusive")
    route = await newest_route(engine)
    assert (route.test, set(route.variants)) == (None, {"old"})
    async with engine.connect() as connection:
        (phase,) = await phases.of_experiment(connection, UUID(stopped["experiment_id"]))
    assert phase.ended_at is not None


async def test_a_variant_of_a_test_is_measured_and_cannot_change(tested: Client, engine: AsyncEngine) -> None:
    await do(tested, "start")

    answer = await tested.put("/v1/variants/short", {"endpoints": ["openai"], "model": "another"})

    assert answer.status == 409
    assert "'test'" in answer.body["detail"]
    async with engine.connect() as connection:
        assert await routes.serving(connection, "short") == ["chat"]
        assert (await experiments.get(connection, "test")).treatments == ("short",)


async def test_variants_that_do_not_fit_into_one_message(tested: Client) -> None:
    prompt = "x" * 140_000
    keys = [f"huge-{n}" for n in range(7)]
    for key in keys:
        await tested.made("/v1/variants", {"key": key, "endpoints": ["openai"], "system_prompt": prompt})
    variants = [{"key": key} for key in ("old", *keys)]
    await tested.made("/v1/experiments", AB_TEST | {"key": "huge", "variants": variants})

    answer = await tested.post("/v1/experiments/huge/start")

    assert answer.status == 409
    assert "900,000 is the most" in answer.body["detail"]
    assert (await tested.get("/v1/experiments/huge")).body["status"] == "draft"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"variants": [{"key": "old", "weight": 1.0}]}, "variants"),
        ({"variants": [{"key": "short", "weight": 0.5}, {"key": "old", "weight": 0.5}]}, "variants[0].key"),
        ({"variants": [{"key": "old", "weight": 0.5}, {"key": "old", "weight": 0.5}]}, "variants"),
        ({"variants": [{"key": "old", "weight": 0.9}, {"key": "short", "weight": 0.2}]}, "variants"),
        ({"variants": [{"key": "old", "weight": "x"}, {"key": "short"}]}, "variants[0].weight"),
        ({"variants": [{"key": "old"}, {"key": "nothing"}]}, "variants[1].key"),
        ({"goals": []}, "goals"),
        ({"goals": ["cost", "mood"]}, "goals[1]"),
        ({"secondary": ["mood"]}, "secondary[0]"),
        ({"guardrails": [{"metric": "mood"}]}, "guardrails[0].metric"),
        ({"guardrails": [{"metric": "latency_p95"}]}, "guardrails[0].metric"),
        ({"guardrails": [{"margin": -1}]}, "guardrails[0].margin"),
        ({"traffic_share": 0}, "traffic_share"),
        ({"alpha": 1}, "alpha"),
        ({"alpha_guardrail": 0.5}, "alpha_guardrail"),
        ({"on_winner": "cheer"}, "on_winner"),
        ({"segments": [{"attribute": "Tier"}]}, "segments[0].attribute"),
        ({"segments": [{"attribute": "share"}]}, "segments[0].attribute"),
        ({"segments": [{"attribute": "tier", "header": "x tier"}]}, "segments[0].header"),
        ({"segments": [{"attribute": "auth", "header": "Authorization"}]}, "segments[0].header"),
        ({"covariate_header": "API-Key"}, "covariate_header"),
        ({"treatment": "short"}, "treatment"),
        ({"route": "nowhere"}, "route"),
    ],
)
async def test_a_bad_test_names_the_field(tested: Client, changes: dict[str, Any], field: str) -> None:
    answer = await tested.post("/v1/experiments", AB_TEST | {"key": "another"} | changes)

    assert answer.status == 422, answer.body
    assert [error["field"] for error in answer.body["errors"]] == [field]
