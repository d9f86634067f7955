"""A blue-green deployment from the first refusal to the automatic rollback, through two gateways."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.demo.control import ApiRefused, answers
from services.demo.setup import change_model, create_variant, wait_for_end, wait_until_served
from services.demo.traffic import Answer, Traffic
from services.domain.assignment import basis_point, split_salt
from services.embedded.ports import free_port
from services.embedded.processes import ManagedProcess
from tests.integration.loop.conftest import Loop, eventually

pytestmark = pytest.mark.loop

HELD_BACK_BP = 1_000
TURNS = "sim:latency_ms=4"


async def second_gateway(loop: Loop) -> str:
    """Start another gateway process of the same installation and return its address."""
    product, port = loop.product, free_port()
    settings = {
        "HEADGATE_GATEWAY_PORT": str(port),
        "HEADGATE_GATEWAY_STATE_DIR": str(product.place / "gateway-2"),
    }
    command = [sys.executable, "-m", "services.cli.main", "gateway"]
    log = product.place / "gateway-2.log"
    product.supervisor.start(
        ManagedProcess("gateway-2", command, log_path=log, env=product.environment | settings)
    )
    url = f"http://127.0.0.1:{port}"
    await answers(url + "/readyz", within_seconds=60.0)
    await wait_until_served(url, loop.client_key, loop.route)
    return url


@asynccontextmanager
async def load_on(loop: Loop, *urls: str) -> AsyncIterator[list[Traffic]]:
    """Traffic to each of the gateways for as long as the block runs, each with units of its own."""
    traffics = [
        Traffic(url, loop.client_key, loop.route, 60, (f"unit-{url[-5:]}-{n}" for n in itertools.count()))
        for url in urls
    ]
    running = [asyncio.create_task(traffic.run(at_most_seconds=150)) for traffic in traffics]
    try:
        await eventually(lambda: all(len(traffic.answers) > 20 for traffic in traffics))
        yield traffics
    finally:
        for traffic in traffics:
            traffic.stop()
        await asyncio.gather(*running)


async def deploy(loop: Loop, key: str, treatment: str) -> dict[str, Any]:
    """Define a deployment and start it."""
    body = {
        "key": key,
        "route": loop.route,
        "kind": "blue_green",
        "treatment": treatment,
        "holdback_share": HELD_BACK_BP / 10_000,
    }
    await loop.api.post("/v1/experiments", body)
    return await loop.api.post(f"/v1/experiments/{key}/start")


async def results_of_the_watch(loop: Loop) -> None:
    """Wait for results of both variants; the watch is a phase of its own."""
    async with asyncio.timeout(60):
        while True:
            found = await loop.api.get("/v1/experiments/fine/results")
            if not found["no_results"] and all(one["requests"] for one in found["variants"]):
                break
            await asyncio.sleep(0.1)
    assert found["phase"] == 2
    assert [(one["key"], one["role"]) for one in found["variants"]] == [
        ("steady", "control"),
        ("calm", "treatment"),
    ]


async def slots(loop: Loop) -> dict[str, str | None]:
    shown = (await loop.api.get(f"/v1/routes/{loop.route}"))["slots"]
    (active,) = [name for name, slot in shown.items() if slot["is_active"]]
    return {name: slot["variant"] for name, slot in shown.items()} | {"active": active}


def everybody_at(version: int, traffics: list[Traffic]) -> bool:
    """Whether each gateway has answered a good deal at the version."""
    return all(sum(one.allocation == version for one in traffic.answers) > 50 for traffic in traffics)


def all_answers(traffics: list[Traffic]) -> list[Answer]:
    return [answer for traffic in traffics for answer in traffic.answers]


async def test_deploy_check_switch_and_automatic_rollback(loop: Loop) -> None:
    provider, first = loop.product.addresses.provider, loop.product.addresses.gateway
    for key, model in (("down", "sim:error_rate=1.0"), ("turncoat", TURNS)):
        await create_variant(loop.api, key, provider, model)
    second = await second_gateway(loop)
    async with load_on(loop, first, second) as traffics:
        # A variant that is down is deployed, and nobody can be sent to it.
        refused = await deploy(loop, "bad", "down")
        why = "check 'answers' failed in 3 of 3 attempts; attempt 1: expected status 200, came status 500"
        assert why in refused["waiting_for"]["sentence"]
        with pytest.raises(ApiRefused, match=r"cannot switch 'bad'.*check 'answers' failed in 3 of 3"):
            await loop.api.post("/v1/experiments/bad/switch")
        await loop.api.post("/v1/experiments/bad/rollback")
        assert (await wait_for_end(loop.api, "bad"))["conclusion"] == "rolled_back"
        assert await slots(loop) == {"blue": "steady", "green": None, "active": "blue"}

        # A good one is checked, and then everybody is sent to it at once.
        deployed = await deploy(loop, "good", "turncoat")
        assert "is healthy: all checks passed" in deployed["waiting_for"]["sentence"]
        assert {one.variant for one in all_answers(traffics)} == {"steady"}
        switched = await loop.api.post("/v1/experiments/good/switch")
        version, salt = switched["allocation"]["version"], split_salt(switched["experiment_id"])
        await eventually(lambda: everybody_at(version, traffics))
        assert await slots(loop) == {"blue": "steady", "green": "turncoat", "active": "green"}
        for answer in all_answers(traffics):
            is_switched = answer.allocation >= version
            keeps_the_old = basis_point(salt, answer.unit) >= 10_000 - HELD_BACK_BP
            assert answer.variant == ("turncoat" if is_switched and not keeps_the_old else "steady")
        held_back = [one for one in all_answers(traffics) if one.allocation == version]
        assert {one.variant for one in held_back} == {"turncoat", "steady"}

        # In the watch it begins to fail, and is taken back without anybody's doing.
        await change_model(provider, TURNS, error_rate=0.5, latency_ms=4.0)
        ended = await wait_for_end(loop.api, "good", within_seconds=60)
        assert ended["conclusion"] == "rolled_back", ended["waiting_for"]
        assert "decided by policy" in ended["concluded_because"]
        back = (await loop.api.get(f"/v1/routes/{loop.route}"))["allocation"]["version"]
        assert await slots(loop) == {"blue": "steady", "green": None, "active": "blue"}
        await eventually(lambda: everybody_at(back, traffics))
    assert {one.variant for one in all_answers(traffics) if one.allocation == back} == {"steady"}
    assert sum(traffic.unanswered for traffic in traffics) == 0


async def test_deploy_switch_and_promote(loop: Loop) -> None:
    await create_variant(loop.api, "calm", loop.product.addresses.provider, "sim:latency_ms=3")
    async with loop.under_load(60) as traffic:
        await deploy(loop, "fine", "calm")
        await loop.api.post("/v1/experiments/fine/switch")
        async with asyncio.timeout(60):
            while (await loop.api.get("/v1/experiments/fine"))["waiting_for"]["rule"] != "hold_for_watch":
                await asyncio.sleep(0.05)
        await results_of_the_watch(loop)
        await loop.api.post("/v1/experiments/fine/promote")
        ended = await wait_for_end(loop.api, "fine")
        assert (ended["conclusion"], ended["promoted"]) == ("promoted", "calm")
        last = (await loop.api.get(f"/v1/routes/{loop.route}"))["allocation"]["version"]
        await eventually(lambda: everybody_at(last, [traffic]))
    assert {one.variant for one in traffic.answers if one.allocation == last} == {"calm"}
    assert await slots(loop) == {"blue": None, "green": "calm", "active": "green"}
    # The next deployment goes to the slot that is idle now: the old variant back.
    deployed = await deploy(loop, "back", "steady")
    assert deployed["stage"] == "deployed"
    assert await slots(loop) == {"blue": "steady", "green": "calm", "active": "green"}
