"""What a gateway tells those who watch: /endpoints and /metrics."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.integration.gateway.running import RunningGateway

_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def page(gateway: RunningGateway, path: str) -> str:
    """One page, as text."""
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}{path}") as answer:
        assert answer.status == 200
        return await answer.text()


async def metrics(gateway: RunningGateway) -> Metrics:
    """Every sample, by its name and its labels without the process."""
    found: Metrics = {}
    for line in (await page(gateway, "/metrics")).splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            pairs = frozenset(pair for pair in _LABEL.findall(labels) if pair[0] != "process")
            found[name, pairs] = found.get((name, pairs), 0.0) + float(value)
    return found


async def metric(gateway: RunningGateway, name: str, **labels: str) -> float:
    """One sample."""
    return (await metrics(gateway))[name, frozenset(labels.items())]


async def processes(gateway: RunningGateway) -> list[dict[str, Any]]:
    """What each process says of itself."""
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/endpoints") as answer:
        found: list[dict[str, Any]] = (await answer.json())["processes"]
        return found


async def endpoint_state(gateway: RunningGateway, key: str) -> dict[str, Any]:
    """How an endpoint is, at a gateway of one process."""
    (process,) = await processes(gateway)
    return next(one for one in process["endpoints"] if one["key"] == key)


async def until_endpoint(
    gateway: RunningGateway, key: str, condition: Callable[[dict[str, Any]], bool]
) -> None:
    """Wait until an endpoint is known and as wished."""
    async with asyncio.timeout(60):
        while True:
            (process,) = await processes(gateway)
            if any(one["key"] == key and condition(one) for one in process["endpoints"]):
                return
            await asyncio.sleep(0.02)
