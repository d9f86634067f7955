"""The demo's two canaries: one that fails and is pulled, one that is fine and is promoted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.demo.control import ControlApi
from services.demo.official_client import OfficialClient
from services.demo.setup import create_route, create_variant, start_canary, wait_until_served
from services.demo.timing import RollbackTiming, tested_errors, time_rollback
from services.demo.traffic import Answer, Traffic, some_return
from services.demo.world import World, until

LONGEST_SECONDS = 180.0
AFTERWARDS_SECONDS = 1.0
"""Traffic goes on for this long after the end, to see that it stays that way."""
ENOUGH_USERS = 20_500
"""The good canary's traffic goes on until so many have been there."""
MOST_UNDER_WAY = 32
"""Of its requests: a slow machine gets as many a second as it answers, so that counting keeps up."""


@dataclass(frozen=True, slots=True)
class BadCanary:
    """How the failing canary ended."""

    conclusion: str
    seconds_to_rollback: float | None
    loop_ms: float | None
    canary_requests: int
    e_value: float | None

    @property
    def succeeded(self) -> bool:
        """Whether the loop did what it is for."""
        return self.conclusion == "rolled_back"


@dataclass(frozen=True, slots=True)
class GoodCanary:
    """How the harmless canary ended."""

    conclusion: str
    seconds_to_promotion: float | None
    units: int

    @property
    def succeeded(self) -> bool:
        """Whether the loop did what it is for."""
        return self.conclusion == "promoted"


async def run_bad_canary(world: World) -> BadCanary:
    """1 % errors on the control, 30 % on the treatment, 10 % share, 200 requests a second."""
    screen, api = world.screen, world.api
    screen.heading("A bad canary: 30 % errors where the control has 1 %, at a 10 % share of 200 requests/s")
    await create_variant(api, "bot-steady", world.provider_url, "sim:error_rate=0.01,latency_ms=5")
    await create_variant(api, "bot-broken", world.provider_url, "sim:error_rate=0.30,latency_ms=5")
    await create_route(api, "support-bot", "bot-steady")
    traffic = Traffic(
        world.gateway_url, world.client_key, "support-bot", 200, some_return("bot-user", world.rng)
    )
    plan = {"steps": [0.10, 0.50], "planned_duration_minutes": 60}

    async def start() -> None:
        await start_canary(api, "broken-model", "support-bot", "bot-broken", plan)

    experiment = await _run(world, traffic, "broken-model", "bot-broken", start)
    decision = await _decision(api, "broken-model", "rollback")
    timing = time_rollback(
        traffic.answers, treatment="bot-broken", share=0.10, tested_errors=tested_errors(decision)
    )
    bad = _bad_canary(experiment, decision, timing)
    if bad.succeeded and not timing:
        screen.good("rolled back, before this client had seen enough to say how fast")
    elif timing and bad.succeeded:
        screen.good(
            f"rolled back {timing.seconds_to_rollback:.2f} s after its first failed request, "
            f"{timing.loop_ms:.0f} ms after the outcome that proved it; {bad.canary_requests} requests hit it"
        )
        screen.say(f"because: {decision.get('reason', '')}")
    else:
        screen.bad(f"the bad canary ended as {bad.conclusion}")
    return bad


def _bad_canary(
    experiment: dict[str, Any], decision: dict[str, Any], timing: RollbackTiming | None
) -> BadCanary:
    e_value = decision.get("evidence", {}).get("e_value")
    return BadCanary(
        conclusion=str(experiment["conclusion"] or experiment["status"]),
        seconds_to_rollback=None if timing is None else round(timing.seconds_to_rollback, 3),
        loop_ms=None if timing is None else round(timing.loop_ms, 1),
        canary_requests=0 if timing is None else timing.treatment_requests,
        e_value=None if e_value is None else float(e_value),
    )


async def run_good_canary(world: World) -> GoodCanary:
    """1 % errors on both; three steps, then promotion on the evidence that it is not worse."""
    screen, api = world.screen, world.api
    screen.heading("A good canary: 1 % errors like the control, 10 % → 25 % → 50 % → everything")
    await create_variant(api, "search-steady", world.provider_url, "sim:error_rate=0.01,latency_ms=5")
    await create_variant(api, "search-next", world.provider_url, "sim:error_rate=0.01,latency_ms=5")
    await create_route(api, "search-helper", "search-steady")
    units = some_return("search-user", world.rng, returning=0.1)
    traffic = Traffic(
        world.gateway_url, world.client_key, "search-helper", 500, units, most_under_way=MOST_UNDER_WAY
    )
    plan = {
        "steps": [0.10, 0.25, 0.50],
        "step_minimum_seconds": 9,
        "step_minimum_units": 200,
        "planned_duration_minutes": 60,
        "holdback_share": 0,  # a watch of minutes would keep the demo waiting
    }
    started: list[float] = []

    async def start() -> None:
        await start_canary(api, "next-model", "search-helper", "search-next", plan)
        started.append(asyncio.get_running_loop().time())

    experiment = await _run(world, traffic, "next-model", "search-next", start, users=ENOUGH_USERS)
    conclusion = str(experiment["conclusion"] or experiment["status"])
    served = {answer.unit for answer in traffic.answers}
    decision = await _decision(api, "next-model", "promote")
    seconds = None if conclusion != "promoted" else round(experiment["_ended_at"] - started[0], 2)
    if conclusion == "promoted":
        screen.good(f"promoted {seconds:.1f} s after its start, {len(served):,} users served")
        screen.say(f"because: {decision.get('reason', '')}")
    else:
        waiting = (experiment["waiting_for"] or {}).get("sentence", "")
        screen.bad(f"the good canary ended as {conclusion}" + (f", waiting: {waiting}" if waiting else ""))
    return GoodCanary(conclusion, seconds, len(served))


async def _run(
    world: World,
    traffic: Traffic,
    key: str,
    treatment: str,
    start: Callable[[], Awaitable[None]],
    *,
    users: int = 0,
) -> dict[str, Any]:
    """Send traffic, start the canary, and wait for its end; returns the experiment as the api shows it.

    Traffic goes on until at least ``users`` have been there.
    """
    await wait_until_served(world.gateway_url, world.client_key, traffic.route)
    official = OfficialClient(world.gateway_url, world.client_key, traffic.route)
    async with asyncio.TaskGroup() as background:
        running = background.create_task(traffic.run(at_most_seconds=LONGEST_SECONDS))
        asking = background.create_task(official.run())
        try:
            await until(lambda: len(traffic.answers) >= 100, "the gateway answers")
            await start()
            world.screen.say(f"canary {key} started")
            experiment = await _end_of(world, traffic, key, treatment, running)
            await asyncio.sleep(AFTERWARDS_SECONDS)
            await until(
                lambda: running.done() or _users(traffic) >= users, f"{users} users came", LONGEST_SECONDS
            )
        finally:
            traffic.stop()
            official.stop()
        await running
        await asking
    world.sent += len(traffic.answers) + official.asked
    world.unanswered += traffic.unanswered
    world.units += _users(traffic)
    world.screen.say(f"the official openai client had {official.asked} answers on the way, streaming and not")
    return experiment


async def _end_of(
    world: World, traffic: Traffic, key: str, treatment: str, running: asyncio.Task[None]
) -> dict[str, Any]:
    share = 0.0
    while not running.done():
        experiment = await world.api.get(f"/v1/experiments/{key}")
        ended_at = asyncio.get_running_loop().time()
        if experiment["status"] == "stopped":
            return {**experiment, "_ended_at": ended_at}
        if experiment["treatment_share"] != share:
            share = experiment["treatment_share"]
            world.screen.say(f"{share:.0%} of traffic on {treatment}")
        world.screen.status(_progress(experiment, traffic.answers))
        await asyncio.sleep(0.1)
    return {**await world.api.get(f"/v1/experiments/{key}"), "_ended_at": asyncio.get_running_loop().time()}


def _users(traffic: Traffic) -> int:
    return len({answer.unit for answer in traffic.answers})


def _progress(experiment: dict[str, Any], answers: list[Answer]) -> str:
    waiting_for = experiment.get("waiting_for") or {}
    return f"{len(answers):,} answers · {waiting_for.get('sentence', 'waiting for the first evaluation')}"


async def _decision(api: ControlApi, key: str, action: str) -> dict[str, Any]:
    decisions = (await api.get(f"/v1/experiments/{key}/decisions"))["items"]
    return next((decision for decision in decisions if decision["action"] == action), {})
