"""The demo's blue-green deployments: one that is refused, one that is taken back, and one that stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.demo.control import ApiRefused
from services.demo.setup import change_model, create_route, create_variant, wait_for_end, wait_until_served
from services.demo.traffic import Answer, Traffic, some_return
from services.demo.world import World, until

ROUTE, OLD = "checkout", "checkout-steady"
DOWN, TURNCOAT, NEXT = "checkout-down", "checkout-turncoat", "checkout-next"
MODELS = {
    OLD: "sim:latency_ms=5",
    DOWN: "sim:error_rate=1.0",
    TURNCOAT: "sim:latency_ms=6",
    NEXT: "sim:latency_ms=7",
}
REQUESTS_PER_SECOND = 200
HOLDBACK_SHARE = 0.05
LONGEST_SECONDS = 45.0
ENOUGH_AFTERWARDS = 200
"""So many answers after a change show that it is there to stay."""


@dataclass(frozen=True, slots=True)
class BlueGreen:
    """How the deployments went. Seconds are a client's: until it saw the change in an answer."""

    deployed: int
    refused_unhealthy: bool
    refused_because: str
    health_requests: int
    seconds_to_switch: float | None
    served_by_old_after_switch: float | None
    """The share of answers after the switch that the old variant gave: the holdback, and nothing more."""
    rolled_back: bool
    seconds_to_rollback: float | None
    promoted: bool
    active_slot: str
    unanswered: int

    @property
    def succeeded(self) -> bool:
        """Whether the unhealthy one was refused, the failing one taken back, and the good one kept."""
        return self.refused_unhealthy and self.rolled_back and self.promoted and not self.unanswered


async def run_blue_green(world: World) -> BlueGreen:
    """Deploy what is down, what fails after the switch, and what is fine, under the same traffic."""
    world.screen.heading("Blue-green: three deployments to the idle slot of one route")
    for key, model in MODELS.items():
        await create_variant(world.api, key, world.provider_url, model)
    await create_route(world.api, ROUTE, OLD)
    await wait_until_served(world.gateway_url, world.client_key, ROUTE)
    async with _traffic(world) as traffic:
        refused_because = await _refused(world)
        switch = await _switched(world, traffic, "turncoat-model", TURNCOAT)
        rolled_back, seconds_to_rollback = await _taken_back(world, traffic)
        await _switched(world, traffic, "calm-model", NEXT)
        promoted = await _promoted(world)
    slots = (await world.api.get(f"/v1/routes/{ROUTE}"))["slots"]
    health_requests = await _health_requests(world, "dead-model", "turncoat-model", "calm-model")
    world.sent += health_requests
    return BlueGreen(
        deployed=3,
        refused_unhealthy=bool(refused_because),
        refused_because=refused_because,
        health_requests=health_requests,
        seconds_to_switch=switch.seconds,
        served_by_old_after_switch=switch.served_by_old,
        rolled_back=rolled_back,
        seconds_to_rollback=seconds_to_rollback,
        promoted=promoted,
        active_slot=next(name for name, slot in slots.items() if slot["is_active"]),
        unanswered=traffic.unanswered,
    )


@asynccontextmanager
async def _traffic(world: World) -> AsyncIterator[Traffic]:
    units = some_return("buyer", world.rng)
    traffic = Traffic(world.gateway_url, world.client_key, ROUTE, REQUESTS_PER_SECOND, units)
    running = asyncio.create_task(traffic.run(at_most_seconds=LONGEST_SECONDS))
    try:
        await until(lambda: len(traffic.answers) >= ENOUGH_AFTERWARDS, "the gateway answers")
        yield traffic
    finally:
        traffic.stop()
        await running
        world.sent += len(traffic.answers)
        world.unanswered += traffic.unanswered
        world.units += len({answer.unit for answer in traffic.answers})


async def _deploy(world: World, key: str, treatment: str) -> dict[str, Any]:
    body = {
        "key": key,
        "route": ROUTE,
        "kind": "blue_green",
        "treatment": treatment,
        "holdback_share": HOLDBACK_SHARE,
    }
    await world.api.post("/v1/experiments", body)
    deployed = await world.api.post(f"/v1/experiments/{key}/start")
    world.screen.say(str(deployed["waiting_for"]["sentence"]))
    return deployed


async def _refused(world: World) -> str:
    """Deploy what is down; return why nobody could be switched to it, or nothing where one could."""
    await _deploy(world, "dead-model", DOWN)
    try:
        await world.api.post("/v1/experiments/dead-model/switch")
    except ApiRefused as refusal:
        world.screen.good("the switch to a variant that is down was refused")
        await world.api.post("/v1/experiments/dead-model/rollback")
        await wait_for_end(world.api, "dead-model")
        return str(refusal)
    world.screen.bad("traffic was switched to a variant that is down")
    return ""


@dataclass(frozen=True, slots=True)
class _Switch:
    seconds: float | None
    served_by_old: float | None


async def _switched(world: World, traffic: Traffic, key: str, treatment: str) -> _Switch:
    await _deploy(world, key, treatment)
    asked_at = time.monotonic()
    switched = await world.api.post(f"/v1/experiments/{key}/switch")
    version = int(switched["allocation"]["version"])
    await until(lambda: len(_since(traffic, version)) >= ENOUGH_AFTERWARDS, "the gateway has switched")
    after = _since(traffic, version)
    seconds = min(answer.finished_at for answer in after) - asked_at
    served_by_old = sum(answer.variant == OLD for answer in after) / len(after)
    world.screen.good(
        f"switched to {treatment} {seconds:.2f} s after it was asked for, checks included; "
        f"{served_by_old:.1%} of answers since then came from the old one"
    )
    return _Switch(round(seconds, 3), round(served_by_old, 4))


def _since(traffic: Traffic, version: int) -> list[Answer]:
    return [answer for answer in traffic.answers if answer.allocation >= version]


async def _taken_back(world: World, traffic: Traffic) -> tuple[bool, float | None]:
    """Let what was switched to fail; return whether it was rolled back, and after how long."""
    await change_model(world.provider_url, MODELS[TURNCOAT], error_rate=0.3, latency_ms=6)
    failing_since = time.monotonic()
    world.screen.say(f"{TURNCOAT} begins to fail in 30 % of its requests")
    ended = await wait_for_end(world.api, "turncoat-model")
    if ended["conclusion"] != "rolled_back":
        world.screen.bad(f"it was not taken back: {ended['waiting_for']}")
        return False, None
    version = int((await world.api.get(f"/v1/routes/{ROUTE}"))["allocation"]["version"])
    await until(
        lambda: len(_since(traffic, version)) >= ENOUGH_AFTERWARDS, "everybody is back on the old one"
    )
    seconds = min(answer.finished_at for answer in _since(traffic, version)) - failing_since
    world.screen.good(f"rolled back by itself {seconds:.2f} s after it began to fail")
    world.screen.say(f"because: {ended['concluded_because']}")
    return True, round(seconds, 3)


async def _promoted(world: World) -> bool:
    await world.api.post(
        "/v1/experiments/calm-model/promote", {"reason": "the demo does not wait 30 minutes"}
    )
    ended = await wait_for_end(world.api, "calm-model")
    if ended["conclusion"] == "promoted":
        world.screen.good(f"{NEXT} was promoted for good, before the end of its watch")
        return True
    world.screen.bad(f"{NEXT} ended as {ended['conclusion'] or ended['status']}")
    return False


async def _health_requests(world: World, *keys: str) -> int:
    """Return how many requests the health checks have sent: they are outcomes too, of no experiment."""
    runs = [run for key in keys for run in (await world.api.get(f"/v1/experiments/{key}/health"))["items"]]
    attempts = [one for run in runs for check in run["checks"] for one in check["attempts"]]
    return sum(one["status"] is not None for one in attempts)
