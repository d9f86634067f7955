"""Results through a running control plane, of rows as the workers write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.decision import POLICY, Decision
from services.domain.experiment import Experiment
from services.domain.results import ResultRow
from services.storage import decisions as decision_store
from services.storage import experiments, results
from services.storage.buckets import STORED
from services.storage.results import PhaseKey
from services.storage.tables import (
    bucket_sums,
    data_quality_counts,
    decisions,
    evaluations,
    experiment_counts,
    experiment_results_history,
    route_counts,
)
from tests.integration.api.conftest import Client

RESULTS = "/v1/experiments/test/results"
GOAL: dict[str, Any] = {"metric": "satisfaction_rate", "method": "sequential", "always_valid": True}


def rows(point: float = 0.1, segment: str = "") -> list[ResultRow]:
    goal = GOAL | {"segment": segment}
    return [
        ResultRow(**goal, statistic="mean", variant="old", point=0.6, lower=0.5, upper=0.7, level=0.95, n=50),
        ResultRow(**goal, statistic="mean", variant="short", insufficient="no reports yet"),
        ResultRow(
            **goal,
            statistic="absolute_difference",
            variant="short",
            comparison_to="old",
            point=point,
            lower=0.02,
            upper=0.18,
            level=0.95,
            p_value=0.01,
            adjusted_p_value=0.02,
            n=100,
        ),
        ResultRow(**goal, statistic="units_needed", variant="short", comparison_to="old", point=300.0, n=100),
    ]


async def evaluated(connection: AsyncConnection, experiment: Experiment, found: list[ResultRow]) -> None:
    key = PhaseKey(experiment.experiment_id, experiment.key, experiment.phase)
    await results.replace(connection, key, found, read_up_to=None, is_over=False)


def minute() -> int:
    return int(datetime.now(UTC).timestamp()) // 60


async def counted(connection: AsyncConnection, experiment: Experiment, tick: int, **figures: int) -> None:
    for index, role in enumerate(("control", "treatment")):
        row = {"experiment_id": experiment.experiment_id, "phase": experiment.phase, "tick": tick}
        await connection.execute(
            sa.insert(experiment_counts).values(
                **row, treatment_share_bp=5_000, role=role, variant_index=index, **figures
            )
        )


async def summed(
    connection: AsyncConnection, experiment: Experiment, segment: str = "", **cells: tuple[int, int]
) -> None:
    """Bucket sums of both variants: of each column how many values, and their sum, all in bucket 0."""
    packed = np.zeros((len(cells), 2, ANALYSIS_BUCKETS), STORED)
    packed[:, :, 0] = list(cells.values())
    row = {"experiment_id": experiment.experiment_id, "phase": experiment.phase, "segment": segment}
    for index in range(2):
        await connection.execute(
            sa.insert(bucket_sums).values(
                **row,
                variant_index=index,
                partition=0,
                partitions=1,
                columns=list(cells),
                sums=packed.tobytes(),
            )
        )


async def running(client: Client, engine: AsyncEngine, key: str = "test") -> Experiment:
    assert (await client.post(f"/v1/experiments/{key}/start")).status == 200
    async with engine.connect() as connection:
        return await experiments.get(connection, key)


async def test_before_there_are_results_it_says_why(tested: Client, engine: AsyncEngine) -> None:
    draft = (await tested.get(RESULTS)).body
    assert "it is a draft; POST /v1/experiments/test/start starts it" in draft["no_results"]
    assert [variant["units"] for variant in draft["variants"]] == [0, 0]
    assert (draft["phases"], draft["as_of"]) == ([], None)

    await running(tested, engine)
    started = (await tested.get(RESULTS)).body
    assert "have not evaluated this phase so far" in started["no_results"]
    (phase,) = started["phases"]
    assert (phase["weights"], phase["traffic_share"]) == ({"old": 0.5, "short": 0.5}, 0.5)

    past = (await tested.get(f"{RESULTS}?at=2026-01-01T00:00Z")).body
    assert past["no_results"] == "no results: it had not been started at 2026-01-01 00:00 UTC"


async def test_results_by_variant_and_by_comparison(tested: Client, engine: AsyncEngine) -> None:
    test = await running(tested, engine)
    async with engine.begin() as connection:
        await evaluated(connection, test, rows())
        figures = {"first_requests": 20, "requests": 40, "errors": 4, "latency_us_sum": 8_000_000}
        await counted(connection, test, minute(), **figures)
        # What a request that fails takes is no time to an answer.
        await summed(connection, test, units=(20, 0), error=(40, 4), latency=(36, 3_600_000))
        quality = {"experiment_id": test.experiment_id, "phase": 1, "kind": "late_feedback", "n": 3}
        await connection.execute(sa.insert(data_quality_counts).values(quality))

    body = (await tested.get(RESULTS)).body

    assert (body["no_results"], body["phase"], body["segment"]) == (None, 1, "")
    assert body["as_of"]
    control, treatment = body["variants"]
    assert (control["units"], control["requests"], control["error_rate"]) == (20, 40, 0.1)
    assert (control["latency_mean_seconds"], control["satisfaction_rate"]) == (0.1, 0.6)
    assert treatment["metrics"][0]["insufficient"] == "no reports yet"
    (comparison,) = body["comparisons"]
    assert (comparison["significant"], comparison["may_be_peeked_at"]) == (True, True)
    assert (comparison["role"], comparison["lower"], comparison["upper"]) == ("goal", 0.02, 0.18)
    (needed,) = body["still_needed"]
    assert (needed["units_needed"], needed["units_missing"]) == (300, 200)
    assert (body["data_quality"]["late_feedback"], body["data_quality"]["multiply_exposed"]) == (3, 0)


async def test_results_by_segment(tested: Client, engine: AsyncEngine) -> None:
    test = await running(tested, engine)
    async with engine.begin() as connection:
        await evaluated(connection, test, [*rows(), *rows(0.3, "tier=gold")])
        figures = {"units": (3, 0), "error": (8, 2), "latency": (6, 3_000_000)}
        await summed(connection, test, "tier=gold", **figures)

    gold = (await tested.get(f"{RESULTS}?segment=tier=gold")).body
    unknown = await tested.get(f"{RESULTS}?segment=tier=tin")

    assert [one["point"] for one in gold["comparisons"]] == [0.3]
    assert gold["segments"] == ["tier=gold"]
    control = gold["variants"][0]
    assert (control["units"], control["requests"], control["error_rate"]) == (3, 8, 0.25)
    assert control["latency_mean_seconds"] == 0.5
    assert unknown.status == 422
    assert "there are tier=gold" in unknown.body["detail"]


async def test_results_of_a_phase_that_is_over(tested: Client, engine: AsyncEngine) -> None:
    test = await running(tested, engine)
    async with engine.begin() as connection:
        await evaluated(connection, test, rows(0.1))
    await tested.post("/v1/experiments/test/split", {"traffic_share": 1})

    present, past = [(await tested.get(RESULTS + query)).body for query in ("", "?phase=1")]
    missing = await tested.get(f"{RESULTS}?phase=3")

    assert (present["phase"], present["comparisons"]) == (2, [])
    assert "have not evaluated" in present["no_results"]
    assert (past["phase"], past["no_results"]) == (1, None)
    assert [one["point"] for one in past["comparisons"]] == [0.1]
    assert missing.status == 422
    assert [error["field"] for error in missing.body["errors"]] == ["phase"]


async def test_what_is_looked_at_once_is_read_after_the_planned_end_and_only_where_it_was_reached(
    tested: Client, engine: AsyncEngine
) -> None:
    test = await running(tested, engine)
    (_, _, always, _) = rows()
    once = msgspec.structs.replace(always, method="fixed_horizon", always_valid=False)
    began = sa.text("UPDATE experiment_phases SET started_at = now() - interval '5 weeks'")

    async def seen() -> Any:
        (found,) = (await tested.get(RESULTS)).body["comparisons"]
        return found

    async with engine.begin() as connection:
        await evaluated(connection, test, [once])
    early = await seen()
    async with engine.begin() as connection:
        await connection.execute(began)
    due = await seen()
    assert (early["significant"], due["significant"]) == (None, True)
    assert early["readable_from"] > due["readable_from"]
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE experiment_phases SET started_at = now()"))
    assert (await tested.post("/v1/experiments/test/stop")).status == 200
    stopped = await seen()
    assert (stopped["significant"], stopped["point"], stopped["readable_from"]) == (None, None, None)
    assert "a sample that was never completed" in stopped["insufficient"]


async def test_what_was_seen_at_a_time(tested: Client, engine: AsyncEngine) -> None:
    test = await running(tested, engine)
    key = PhaseKey(test.experiment_id, test.key, 1)
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        # The test began three hours ago, and was evaluated two hours ago and one hour ago.
        earlier = sa.text("UPDATE experiment_phases SET started_at = now() - interval '3 hours'")
        await connection.execute(earlier)
        for hours, point in ((2, 0.1), (1, 0.2)):
            await evaluated(connection, test, rows(point))
            await results.keep_decision(connection, key, test.experiment_id)
            recorded = now - timedelta(hours=hours)
            history = experiment_results_history
            unmoved = sa.update(history).where(history.c.recorded_at > now - timedelta(minutes=1))
            await connection.execute(unmoved.values(recorded_at=recorded))
            await counted(connection, test, int(recorded.timestamp()) // 60, first_requests=10)
        quality = {"experiment_id": test.experiment_id, "phase": 1, "kind": "late_feedback", "n": 3}
        await connection.execute(sa.insert(data_quality_counts).values(quality))
        await connection.execute(sa.text("UPDATE experiments SET started_at = now() - interval '3 hours'"))
    assert (await tested.post("/v1/experiments/test/stop")).status == 200

    async def seen(minutes_ago: int) -> Any:
        at = (now - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%MZ")
        return (await tested.get(f"{RESULTS}?at={at}")).body

    old, recent, before = await seen(90), await seen(10), await seen(150)
    assert [one["point"] for one in old["comparisons"]] == [0.1]
    assert [one["point"] for one in recent["comparisons"]] == [0.2]
    # Nothing but what was recorded then: totals, oddities and status of now would contradict it.
    assert [variant["requests"] for variant in old["variants"]] == [None, None]
    assert (old["status"], old["conclusion"], old["data_quality"]) == ("running", None, None)
    assert (await tested.get(RESULTS)).body["status"] == "stopped"
    assert old["recorded_at"] < recent["recorded_at"]
    assert "no results were recorded by then" in before["no_results"]


@pytest.mark.parametrize(("key", "names"), [("test", ("old", "short")), ("canary", ("control", "treatment"))])
async def test_what_is_recorded_at_a_decision_has_the_counts_it_was_made_on(
    tested: Client, engine: AsyncEngine, key: str, names: tuple[str, str]
) -> None:
    experiment = await running(tested, engine, key)
    totals = {name: {"requests": 40, "errors": 10 * place, "units": 9} for place, name in enumerate(names)}
    decision = Decision(
        decision_id=experiment.experiment_id,
        experiment_id=experiment.experiment_id,
        phase=1,
        action="rollback",
        rule="kill_switch",
        reason="it fails",
        actor=POLICY,
        allocation_version=2,
        decided_at=datetime.now(UTC),
        evidence={"totals": totals},
        method="test",
    )
    async with engine.begin() as connection:
        await evaluated(connection, experiment, rows())
        await decision_store.record(connection, decision)
        phase = PhaseKey(experiment.experiment_id, key, 1)
        await results.keep_decision(connection, phase, decision.decision_id)
    at = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%MZ")
    seen = (await tested.get(f"/v1/experiments/{key}/results?at={at}")).body["variants"]
    assert [(one["units"], one["requests"], one["error_rate"]) for one in seen] == [(9, 40, 0), (9, 40, 0.25)]


async def test_the_first_hour_of_a_phase_has_a_history(tested: Client, engine: AsyncEngine) -> None:
    """Kept with the first number, and then after some minutes; never before there is a number."""
    test = await running(tested, engine)
    key = PhaseKey(test.experiment_id, test.key, 1)

    async def is_kept(*, seconds_ago: float) -> bool:
        async with engine.begin() as connection:
            now = await connection.scalar(sa.text("SELECT now()"))
            assert now is not None
            return await results.keep_hour(connection, key, started_at=now - timedelta(seconds=seconds_ago))

    async with engine.begin() as connection:
        await evaluated(
            connection, test, [ResultRow(**GOAL, statistic="mean", variant="old", insufficient="no")]
        )
    assert not await is_kept(seconds_ago=1)
    async with engine.begin() as connection:
        await evaluated(connection, test, rows())
    assert await is_kept(seconds_ago=1)
    assert not await is_kept(seconds_ago=2)
    for minutes in results.EARLY_MINUTES:
        async with engine.begin() as connection:
            earlier = sa.text(
                "UPDATE experiment_results_history SET recorded_at = recorded_at - interval '3 s'"
            )
            await connection.execute(earlier)
        assert await is_kept(seconds_ago=60 * minutes + 1)
        assert not await is_kept(seconds_ago=60 * minutes + 2)


async def test_a_promotion_by_hand_keeps_what_was_seen(tested: Client, engine: AsyncEngine) -> None:
    test = await running(tested, engine)
    async with engine.begin() as connection:
        await evaluated(connection, test, rows())
        seen = {
            "experiment_id": test.experiment_id,
            "phase": 1,
            "rule": "r",
            "sentence": "s",
            "body": {"n": 3},
        }
        await connection.execute(sa.insert(evaluations).values(seen))
    assert (await tested.post("/v1/experiments/test/promote", {"reason": "enough"})).status == 202
    async with engine.connect() as connection:
        decided = await connection.execute(sa.select(decisions.c.decision_id, decisions.c.evidence))
        kept = sa.select(experiment_results_history.c.decision_id).distinct()
        ((decision_id, evidence),) = decided.all()
        assert list(
            await connection.scalars(kept.where(experiment_results_history.c.occasion == "decision"))
        ) == [decision_id]
    assert evidence == {"n": 3}


@pytest.mark.parametrize("at", ["yesterday", "2026-11-20T12:00"])
async def test_a_time_that_is_none(tested: Client, at: str) -> None:
    answer = await tested.get(f"{RESULTS}?at={at}")
    assert answer.status == 422
    assert answer.body["errors"][0]["field"] == "at"
    assert "2026-11-20T12:00:00Z" in answer.body["errors"][0]["message"]


async def test_a_canary_says_what_its_promotion_still_needs(tested: Client, engine: AsyncEngine) -> None:
    canary = await running(tested, engine, "canary")
    async with engine.begin() as connection:
        await counted(connection, canary, minute(), first_requests=50, requests=100, errors=1)

    body = (await tested.get("/v1/experiments/canary/results")).body

    (needed,) = body["still_needed"]
    assert needed["units"] == 100
    assert needed["units_needed"] > 100
    assert needed["units_missing"] == needed["units_needed"] - 100
    assert needed["minutes_missing"] > 0
    assert "at 5% of traffic" in needed["sentence"]
    assert body["waiting_for"]["rule"] == "not_evaluated_yet"


async def with_traffic(engine: AsyncEngine) -> None:
    """An hour of 10 requests a second, 1 % of which fail."""
    async with engine.begin() as connection:
        for ago in range(60):
            row = {"route_key": "chat", "variant_key": "old", "tick": minute() - ago}
            await connection.execute(
                sa.insert(route_counts).values(**row, requests=600, errors=6, latency_us_sum=300_000_000)
            )


async def test_a_dry_run_of_a_test(tested: Client, engine: AsyncEngine) -> None:
    await with_traffic(engine)
    body = {
        "key": "dry",
        "route": "chat",
        "kind": "ab_test",
        "variants": [{"key": "old"}, {"key": "short"}],
        "goals": ["error_rate", "cost", "latency_p95"],
        "planned_duration_minutes": 600,
    }

    dry = (await tested.post("/v1/experiments/dry-run", body)).body

    assert (dry["could_be_created"], dry["could_be_started"], dry["obstacles"]) == (True, True, [])
    assert dry["traffic"]["requests_per_second"] == pytest.approx(10, rel=0.05)
    assert dry["traffic"]["error_rate"] == 0.01
    assert dry["traffic"]["latency_mean_seconds"] == 0.5
    found = {(one["metric"], one["method"]): one for one in dry["detectable"]}
    sequential, fixed = found["error_rate", "sequential"], found["error_rate", "fixed_horizon"]
    # z-test by hand: 360,000 units, p = 1 %, alpha 0.05/3, power 0.8
    assert fixed["effect"] == pytest.approx(0.00107, rel=0.05)
    assert sequential["effect"] > fixed["effect"]
    assert "not known before there is data" in found["latency_p95", ""]["insufficient"]
    assert "split 100% of the route's units" in dry["it_would"][0]
    assert "be readable by fixed-horizon methods after 10 hours" in dry["it_would"]
    assert "0.15 percentage points, looked at at any time" in sequential["sentence"]
    assert "if each request comes from another unit" in sequential["sentence"]
    assert "looked at once, at the end" in fixed["sentence"]
    assert (await tested.get("/v1/experiments/dry")).status == 404


COST_TEST = {
    "key": "dry",
    "route": "chat",
    "kind": "ab_test",
    "variants": [{"key": "old"}, {"key": "short"}, {"key": "long"}],
    "goals": ["cost"],
}
ENDPOINT = {"kind": "openai", "base_url": "https://llm.test/v1"}
PRICES = {"input_per_million": 1.0, "output_per_million": 2.0}


async def costs(client: Client) -> tuple[dict[str, str | None], list[str]]:
    """What is foretold of the cost of each treatment, or why nothing is; and the warnings about cost."""
    dry = (await client.post("/v1/experiments/dry-run", COST_TEST)).body
    foretold = {one["variant"]: one["insufficient"] or one["unit"] for one in dry["detectable"]}
    return foretold, [warning for warning in dry["warnings"] if "cost" in warning]


async def test_no_cost_is_foretold_of_endpoints_without_prices(tested: Client, engine: AsyncEngine) -> None:
    await with_traffic(engine)

    foretold, warnings = await costs(tested)
    assert foretold == {
        "short": "no endpoint of 'old', 'short' has prices: cost stays without values",
        "long": "no endpoint of 'old', 'long' has prices: cost stays without values",
    }
    assert warnings == ["no endpoint of 'old', 'short', 'long' has prices: cost stays without values"]

    await tested.made("/v1/endpoints", {"key": "bare", **ENDPOINT})
    await tested.put("/v1/endpoints/openai", {**ENDPOINT, "prices": PRICES})
    await tested.put("/v1/variants/long", {"endpoints": ["bare"], "model": "long"})
    foretold, warnings = await costs(tested)
    assert foretold["short"] == "standard deviations"
    assert foretold["long"] == "no endpoint of 'long' has prices: cost stays without values"
    assert warnings == ["no endpoint of 'long' has prices: cost stays without values"]

    await tested.put("/v1/variants/long", {"endpoints": ["bare", "openai"], "model": "long"})
    foretold, warnings = await costs(tested)
    assert foretold["long"] == "standard deviations"
    assert warnings == ["cost is only known of endpoints that have prices"]


async def test_a_dry_run_of_a_canary(tested: Client, engine: AsyncEngine) -> None:
    await with_traffic(engine)
    dry = (
        await tested.post("/v1/experiments/dry-run", {"key": "dry", "route": "chat", "treatment": "long"})
    ).body

    assert dry["could_be_started"] is True
    (warning,) = dry["warnings"]
    assert "known of 60 minutes only" in warning
    mild, bad, awful, promotion = dry["detectable"]
    assert mild["hours"] > bad["hours"] > awful["hours"] > 0
    assert "shown to be not worse by 2.0%, at 50% of traffic" in promotion["sentence"]
    assert "give 'long' 5% of the units that 'old' serves now" in dry["it_would"]


async def test_a_dry_run_says_what_is_wrong(tested: Client) -> None:
    await tested.post("/v1/experiments/canary/start")

    taken = (
        await tested.post("/v1/experiments/dry-run", {"key": "test", "route": "chat", "treatment": "long"})
    ).body
    unknown = (
        await tested.post("/v1/experiments/dry-run", {"key": "dry", "route": "chat", "treatment": "none"})
    ).body

    assert (taken["could_be_created"], taken["could_be_started"]) == (False, False)
    assert [one["blocks"] for one in taken["obstacles"]] == ["create", "start"]
    assert "the route had no traffic lately" in taken["warnings"][0]
    assert {one["insufficient"] is not None for one in taken["detectable"]} == {True}
    assert unknown["could_be_created"] is False
    assert unknown["obstacles"][0]["field"] == "treatment"
