"""The demo's shadow: a variant that gets copies of half the requests, and whose callers notice nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from services.demo.setup import create_route, create_variant, wait_until_served
from services.demo.traffic import Traffic, some_return
from services.demo.world import World

ROUTE, KEY = "translator", "terse-model"
STABLE, SHADOW = "translator-steady", "translator-terse"
SAMPLE_SHARE = 0.5
REQUESTS_PER_SECOND = 150
TRAFFIC_SECONDS = 5.0
ENOUGH = 200
COMPARED_WITHIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Shadow:
    """What the shadow's answers were like beside production's. Differences are shadow − production."""

    requests: int
    failed_callers: int
    sampled: int
    comparisons: int
    failed: int
    shed: int
    exact_match_rate: float | None
    mean_similarity: float | None
    latency_difference_seconds: float | None
    shadow_faster_rate: float | None
    completion_tokens_difference: float | None

    @property
    def succeeded(self) -> bool:
        """Whether enough was compared, all is accounted for, and no caller was left without an answer."""
        accounted_for = self.sampled == self.comparisons + self.failed + self.shed
        return self.comparisons >= ENOUGH and accounted_for and not self.failed_callers

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.latency_difference_seconds is None or self.exact_match_rate is None:
            return f"{self.comparisons} comparisons"
        return (
            f"{self.exact_match_rate:.0%} the same, similarity {self.mean_similarity or 0:.2f}, "
            f"{self.latency_difference_seconds * 1000:+.0f} ms"
        )


async def run_shadow(world: World) -> Shadow:
    """Mirror half of the requests to a model that is quicker and says less."""
    screen, api = world.screen, world.api
    screen.heading("A shadow: a terser model answers half the requests too, and nobody gets to see it")
    await create_variant(api, STABLE, world.provider_url, "sim:latency_ms=20,tokens=24")
    await create_variant(api, SHADOW, world.provider_url, "sim:latency_ms=12,tokens=18")
    await create_route(api, ROUTE, STABLE)
    await wait_until_served(world.gateway_url, world.client_key, ROUTE)
    await api.post(
        "/v1/experiments",
        {"key": KEY, "route": ROUTE, "kind": "shadow", "treatment": SHADOW, "sample_share": SAMPLE_SHARE},
    )
    await api.post(f"/v1/experiments/{KEY}/start")
    units = some_return("translator-user", world.rng)
    traffic = Traffic(world.gateway_url, world.client_key, ROUTE, REQUESTS_PER_SECOND, units)
    await traffic.run(at_most_seconds=TRAFFIC_SECONDS)
    world.sent += len(traffic.answers)
    world.unanswered += traffic.unanswered
    world.units += len({answer.unit for answer in traffic.answers})
    report = await _compared(world)
    await api.post(f"/v1/experiments/{KEY}/stop", {"reason": "seen enough"})
    shadow = _shadow(report, traffic)
    (screen.good if shadow.succeeded else screen.bad)(
        f"{shadow.comparisons} of {shadow.sampled} sampled requests compared: {shadow.sentence}"
    )
    return shadow


async def _compared(world: World) -> dict[str, Any]:
    """Return the report once every sampled request is accounted for."""
    deadline = asyncio.get_running_loop().time() + COMPARED_WITHIN_SECONDS
    before = None
    while True:
        found = await world.api.get(f"/v1/experiments/{KEY}/comparisons?limit=1")
        coverage = found["coverage"]
        # Coverage and comparisons travel apart: twice the same is the end of both.
        settled = coverage["sampled"] and not coverage["under_way"] and coverage == before
        if settled or asyncio.get_running_loop().time() > deadline:
            return found
        before = coverage
        await asyncio.sleep(0.5)


def _shadow(found: dict[str, Any], traffic: Traffic) -> Shadow:
    coverage, report = found["coverage"], found["report"] or {}
    match = report.get("match", {})
    return Shadow(
        requests=len(traffic.answers),
        failed_callers=traffic.unanswered + sum(answer.failed for answer in traffic.answers),
        sampled=coverage["sampled"],
        comparisons=coverage["compared"],
        failed=coverage["failed"],
        shed=coverage["shed"],
        exact_match_rate=match.get("exact", {}).get("rate"),
        mean_similarity=match.get("mean_similarity"),
        latency_difference_seconds=report.get("latency", {}).get("difference"),
        shadow_faster_rate=report.get("shadow_faster", {}).get("rate"),
        completion_tokens_difference=report.get("completion_tokens", {}).get("difference"),
    )
