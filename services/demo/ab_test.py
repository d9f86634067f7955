"""The demo's A/B test: a quicker model that users like better, judged on two goals, one of them feedback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from services.demo.feedback import Reporting
from services.demo.setup import create_route, create_variant, wait_until_served
from services.demo.traffic import Traffic, some_return
from services.demo.world import World, until

ROUTE, KEY = "help-desk", "quicker-answers"
CONTROL, TREATMENT = "desk-steady", "desk-quick"
GOALS = ("latency_mean", "satisfaction_rate")
SATISFIED = {CONTROL: 0.65, TREATMENT: 0.80}
"""How many of those who say something say that they are satisfied."""
REQUESTS_PER_SECOND = 300
LONGEST_SECONDS = 45.0
ENOUGH_USERS = 2_000
"""Fewer are no result, however large the difference looks."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the test found about one goal: treatment − control, by the method that may be looked at always."""

    metric: str
    control: float | None = None
    treatment: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    significant: bool = False

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.difference is None or self.lower is None or self.upper is None:
            return f"{self.metric}: nothing yet"
        return f"{self.metric} {self.difference:+.3g} [{self.lower:+.3g}, {self.upper:+.3g}]"


@dataclass(frozen=True, slots=True)
class ABTest:
    """How the A/B test ended."""

    conclusion: str
    seconds_to_result: float | None
    units: int
    requests: int
    feedback: int
    feedback_counted: int
    goals: tuple[Goal, ...]
    usd_per_1000: dict[str, float | None]
    """What a thousand requests cost, by variant."""

    @property
    def succeeded(self) -> bool:
        """Whether the test found what is there, and every report was counted."""
        told_apart = len(self.goals) == len(GOALS) and all(goal.significant for goal in self.goals)
        return told_apart and self.feedback == self.feedback_counted

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        return "; ".join(goal.sentence for goal in self.goals) or "no results"

    @property
    def cost(self) -> str:
        """What the variants cost, in words."""
        priced = [f"{key} ${usd:.4f}" for key, usd in self.usd_per_1000.items() if usd is not None]
        return f"{', '.join(priced)} per 1,000 requests" if priced else "no prices"


async def run_ab_test(world: World) -> ABTest:
    """Half the users get a model that is quicker, and that they like better; find out, then promote it."""
    screen, api = world.screen, world.api
    screen.heading("An A/B test: is the quicker model better, by latency and by what users say?")
    await create_variant(api, CONTROL, world.provider_url, "sim:latency_ms=30")
    await create_variant(api, TREATMENT, world.provider_url, "sim:latency_ms=20,cached_fraction=0.5")
    await create_route(api, ROUTE, CONTROL)
    await wait_until_served(world.gateway_url, world.client_key, ROUTE)
    reporting = Reporting(world.gateway_url, world.client_key, SATISFIED, world.rng)
    units = some_return("desk-user", world.rng, returning=0.3)
    traffic = Traffic(
        world.gateway_url, world.client_key, ROUTE, REQUESTS_PER_SECOND, units, on_answer=reporting.hear
    )
    async with asyncio.TaskGroup() as background:
        running = background.create_task(traffic.run(at_most_seconds=LONGEST_SECONDS))
        saying = background.create_task(reporting.run())
        try:
            await until(lambda: bool(traffic.answers), "the gateway answers")
            await _start(world)
            began = asyncio.get_running_loop().time()
            found = await _until_told_apart(world, running)
            seconds = asyncio.get_running_loop().time() - began
        finally:
            traffic.stop()
            await running
            reporting.stop()
        await saying
    world.sent += len(traffic.answers)
    world.unanswered += traffic.unanswered
    world.units += len({answer.unit for answer in traffic.answers})
    counted = await _feedback_counted(world, reporting.sent)
    await api.post(
        f"/v1/experiments/{KEY}/promote", {"variant": TREATMENT, "reason": "both goals are better"}
    )
    result = _result(found, await _conclusion(world), seconds, reporting.sent, counted)
    (screen.good if result.succeeded else screen.bad)(f"{result.conclusion}: {result.sentence}")
    return result


async def _start(world: World) -> None:
    await world.api.post(
        "/v1/experiments",
        {
            "key": KEY,
            "route": ROUTE,
            "kind": "ab_test",
            "variants": [{"key": CONTROL, "weight": 0.5}, {"key": TREATMENT, "weight": 0.5}],
            "goals": list(GOALS),
            "secondary": ["cost"],
            "minimum_units": ENOUGH_USERS // 2,
        },
    )
    await world.api.post(f"/v1/experiments/{KEY}/start")
    world.screen.say(f"A/B test {KEY} started: half the users on {TREATMENT}, goals {' and '.join(GOALS)}")


async def _until_told_apart(world: World, running: asyncio.Task[None]) -> dict[str, Any]:
    """Look at the results again and again, as their method allows, until every goal is told apart."""
    while True:
        results = await world.api.get(f"/v1/experiments/{KEY}/results")
        goals = _goals(results)
        world.screen.status("; ".join(goal.sentence for goal in goals) or str(results["no_results"]))
        enough = sum(variant["units"] or 0 for variant in results["variants"]) >= ENOUGH_USERS
        if running.done() or (enough and goals and all(goal.significant for goal in goals)):
            return results
        await asyncio.sleep(0.2)


async def _feedback_counted(world: World, sent: int) -> int:
    """Return how many reports are counted, once they all are or it takes too long."""
    deadline = asyncio.get_running_loop().time() + 15.0
    while True:
        results = await world.api.get(f"/v1/experiments/{KEY}/results")
        counted = int(results["data_quality"]["feedback"])
        if counted >= sent or asyncio.get_running_loop().time() > deadline:
            return counted
        await asyncio.sleep(0.1)


async def _conclusion(world: World) -> str:
    """Return how the experiment ended, once routing has applied the promotion."""
    deadline = asyncio.get_running_loop().time() + 10.0
    while True:
        experiment = await world.api.get(f"/v1/experiments/{KEY}")
        if experiment["status"] == "stopped" or asyncio.get_running_loop().time() > deadline:
            return str(experiment["conclusion"] or experiment["status"])
        await asyncio.sleep(0.05)


def _result(results: dict[str, Any], conclusion: str, seconds: float, sent: int, counted: int) -> ABTest:
    return ABTest(
        conclusion=conclusion,
        seconds_to_result=round(seconds, 2),
        units=sum(variant["units"] or 0 for variant in results["variants"]),
        requests=sum(variant["requests"] or 0 for variant in results["variants"]),
        feedback=sent,
        feedback_counted=counted,
        goals=_goals(results),
        usd_per_1000={variant: _usd_per_1000(results, variant) for variant in (CONTROL, TREATMENT)},
    )


def _goals(results: dict[str, Any]) -> tuple[Goal, ...]:
    return tuple(
        Goal(
            metric=row["metric"],
            control=_figure(results, CONTROL, row["metric"]),
            treatment=_figure(results, TREATMENT, row["metric"]),
            difference=row["point"],
            lower=row["lower"],
            upper=row["upper"],
            p_value=row["p_value"],
            significant=bool(row["significant"]),
        )
        for row in results["comparisons"]
        if row["role"] == "goal"
        and row["statistic"] == "absolute_difference"
        and row["method"] == "sequential"
    )


def _usd_per_1000(results: dict[str, Any], variant: str) -> float | None:
    usd = _figure(results, variant, "cost")
    return None if usd is None else round(usd * 1000, 6)


def _figure(results: dict[str, Any], variant: str, metric: str) -> float | None:
    for one in results["variants"]:
        if one["key"] == variant:
            for figure in one["metrics"]:
                if figure["metric"] == metric:
                    return None if figure["value"] is None else float(figure["value"])
    return None
