"""Several gateway processes on one port."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil

from tests.integration.gateway.load import steady_load
from tests.integration.gateway.processes import gateway_process
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    journals,
    route,
    variant,
)
from tests.integration.gateway.watching import metrics, processes


async def until_processes(gateway: RunningGateway, count: int, *, without: str = "") -> list[dict[str, Any]]:
    """Wait until so many processes report, none of them the one that is given."""
    async with asyncio.timeout(60):
        while True:
            found = await processes(gateway)
            if len(found) == count and without not in [one["gateway"] for one in found]:
                return found
            await asyncio.sleep(0.05)


async def total(gateway: RunningGateway, name: str) -> float:
    """A metric, summed over everything it is told apart by."""
    return sum(value for (found, _), value in (await metrics(gateway)).items() if found == name)


async def serve(installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    async with asyncio.timeout(60):
        # Each process reads the configuration by itself.
        while await total(gateway, "headgate_routes") < len(await processes(gateway)):
            await asyncio.sleep(0.05)


async def test_one_that_is_killed_is_replaced_while_the_other_serves(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    async with gateway_process(installation, tmp_path, "--processes", "2") as (parent, gateway):
        await until_processes(gateway, 2)
        await serve(installation, gateway, provider_url)
        async with steady_load(gateway.url, "support") as load:
            await load.answered(300)
            # Whoever answers accepts connections, so it is a process that serves.
            killed = (await gateway.readiness())["gateway"]
            pids = {one["gateway"]: one["pid"] for one in await processes(gateway)}
            os.kill(pids[killed], signal.SIGKILL)
            await load.answered(300)
            alive = await until_processes(gateway, 2, without=killed)
            await load.answered(300)
            # Only requests that the killed one was serving may have failed, one for each caller.
            assert len(load.failures) <= 8
        assert sorted(one["process"] for one in alive) == [1, 2]
        await gateway.until(lambda _: f"{killed}.sequences" not in journals(tmp_path))
        assert await total(gateway, "headgate_ready") == 2
    assert parent.returncode == 0
    assert journals(tmp_path) == []
    missing, _ = await installation.missing()
    arrived = {outcome.request_id for outcome in await installation.outcomes(gaps=True)}
    assert len(set(load.request_ids) - arrived) <= missing
    assert missing < 100


async def test_a_stop_drains_all_of_them(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    async with gateway_process(installation, tmp_path, "--processes", "3") as (parent, gateway):
        await until_processes(gateway, 3)
        await serve(installation, gateway, provider_url)
        async with steady_load(gateway.url, "support") as load:
            await load.answered(200)
    assert parent.returncode == 0
    arrived = sorted(outcome.request_id for outcome in await installation.outcomes())
    assert arrived == sorted(load.request_ids)
    assert journals(tmp_path) == []


async def test_without_their_parent_they_drain_too(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    async with gateway_process(installation, tmp_path, "--processes", "2") as (parent, gateway):
        await until_processes(gateway, 2)
        await serve(installation, gateway, provider_url)
        children = psutil.Process(parent.pid).children()
        async with steady_load(gateway.url, "support") as load:
            await load.answered(50)
        parent.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
        assert alive == []
    arrived = sorted(outcome.request_id for outcome in await installation.outcomes())
    assert arrived == sorted(load.request_ids)
    assert journals(tmp_path) == []
