"""A shadow from its definition to its report, through gateway, Kafka, worker, Postgres and api."""

import asyncio
from typing import Any

import pytest

from services.demo.control import ApiRefused
from services.demo.setup import create_variant
from tests.integration.loop.conftest import Loop, eventually

pytestmark = pytest.mark.loop

COMPARED = 150


async def define(loop: Loop, treatment: str, **definition: Any) -> None:
    body = {
        "key": loop.key,
        "route": loop.route,
        "kind": "shadow",
        "treatment": treatment,
        "sample_share": 1.0,
    }
    await loop.api.post("/v1/experiments", body | definition)


async def shown(loop: Loop) -> dict[str, Any]:
    return await loop.api.get(f"/v1/experiments/{loop.key}/comparisons")


async def settled(loop: Loop, *, at_least: int = 1) -> dict[str, Any]:
    """What is shown once nothing is under way any more."""
    async with asyncio.timeout(60):
        while True:
            found = await shown(loop)
            coverage = found["coverage"]
            mirrored = 0 if found["report"] is None else found["report"]["shadow_error_rate"]["n"]
            stored = mirrored == coverage["compared"] + coverage["failed"]
            if coverage["sampled"] >= at_least and not coverage["under_way"] and stored:
                return found
            await asyncio.sleep(0.1)


async def test_a_shadow_from_start_to_stop(loop: Loop) -> None:
    await create_variant(loop.api, "slow", loop.product.addresses.provider, "sim:latency_ms=40")
    await loop.api.put(f"/v1/routes/{loop.route}/recording", {"record_content": True})
    await define(loop, "slow", keep_text=True, max_concurrency=100, queue_limit=1000)
    assert (await shown(loop))["no_comparisons"].startswith("no comparisons yet: POST")
    await loop.api.post(f"/v1/experiments/{loop.key}/start")

    async with loop.under_load(60) as traffic:
        async with asyncio.timeout(60):
            while (await shown(loop))["coverage"]["compared"] < COMPARED:
                await asyncio.sleep(0.1)
        await loop.api.post(f"/v1/experiments/{loop.key}/pause")
        paused = await settled(loop, at_least=COMPARED)
        seen = len(traffic.answers)
        await eventually(lambda: len(traffic.answers) > seen + 30)
    assert {answer.variant for answer in traffic.answers} == {"steady"}

    found = await settled(loop, at_least=COMPARED)
    coverage, report = found["coverage"], found["report"]
    assert found["no_comparisons"] is None
    assert coverage["sampled"] == coverage["compared"] + coverage["failed"] + coverage["shed"]
    assert coverage["shed"] == 0
    assert coverage["sampled"] < len(traffic.answers)
    # What was under way at the gateway when the pause reached it may still have come.
    assert coverage["sampled"] >= paused["coverage"]["sampled"]
    assert report["comparisons"] == coverage["compared"]
    # Both models answer the same question with the same words.
    assert report["match"]["exact"]["rate"] == report["match"]["similar"]["rate"] == 1.0
    assert report["match"]["exact"]["lower"] > 0.9
    assert report["shadow_faster"]["rate"] < 0.1
    latency = report["latency"]
    assert 0 < latency["lower"] < latency["difference"] < latency["upper"]
    assert latency["difference"] == pytest.approx(latency["shadow_mean"] - latency["production_mean"])
    assert report["shadow_error_rate"]["rate"] == 0.0
    newest = found["items"][0]
    assert newest["match"] == "exact"
    assert newest["production"]["text"] == newest["shadow"]["text"] != ""
    difference = newest["shadow"]["latency_seconds"] - newest["production"]["latency_seconds"]
    assert newest["latency_difference_seconds"] == pytest.approx(difference)

    totals = await loop.counted(len(traffic.answers))
    assert totals.outcomes_counted == len(traffic.answers)
    await loop.api.post(f"/v1/experiments/{loop.key}/stop")
    assert (await shown(loop))["status"] == "stopped"


async def test_a_shadow_decides_nothing(loop: Loop) -> None:
    await define(loop, "broken")
    await loop.api.post(f"/v1/experiments/{loop.key}/start")
    for verb in ("promote", "rollback"):
        with pytest.raises(ApiRefused, match="a shadow"):
            await loop.api.post(f"/v1/experiments/{loop.key}/{verb}")
    async with loop.under_load(60) as traffic:
        await eventually(lambda: len(traffic.answers) > 100)
    found = await settled(loop, at_least=50)
    assert found["coverage"]["failed"] > 0
    assert found["report"]["shadow_error_rate"]["rate"] > found["report"]["production_error_rate"]["rate"]
    assert {answer.variant for answer in traffic.answers} == {"steady"}
    assert (await loop.api.get(f"/v1/experiments/{loop.key}"))["waiting_for"]["rule"] == "mirroring"
    assert (await loop.api.get(f"/v1/experiments/{loop.key}/decisions"))["items"] == []
