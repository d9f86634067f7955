"""Ten thousand requests of all sorts, and nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from services.demo.provider_behaviour import Fault
from services.domain.configuration import BreakerSettings, Prices
from services.domain.limits import Limits
from services.gateway.events import StreamReading
from services.gateway.exchange import Exchange
from services.gateway.limiting.ledger import Reservation
from services.gateway.limiting.meters import Meter
from services.gateway.transport.response import Response
from tests.integration.gateway.running import (
    KEY,
    Installation,
    credential,
    endpoint,
    route,
    running_gateway,
    variant,
)

REQUESTS = 10_000
CALLERS = 64
HEADERS = {"Authorization": f"Bearer {KEY}"}
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings")
PATIENT = frozenset({Fault.HANG, Fault.STALL})
PLENTY = Limits(
    requests_per_minute=1_000_000,
    tokens_per_minute=1_000_000_000,
    concurrency=CALLERS,
    tokens_per_day=1_000_000_000,
    dollars_per_day=1_000_000.0,
)
NEVER = BreakerSettings(minimum_requests=1_000_000, consecutive_failures=1_000_000)


def requests() -> list[tuple[str, dict[str, Any], float | None]]:
    """Path, body, and after how long the caller hangs up. One in three has a fault, a few hang up."""
    faults = itertools.cycle([fault for fault in Fault if fault not in PATIENT])
    patient = itertools.cycle(PATIENT)
    asked: list[tuple[str, dict[str, Any], float | None]] = []
    for number, path in zip(range(REQUESTS), itertools.cycle(PATHS), strict=False):
        fault = next(patient) if number % 97 == 0 else next(faults) if number % 3 == 0 else None
        body: dict[str, Any] = {"stream": number % 5 < 2, "messages": [], "input": "x" * (number % 500)}
        body |= {"user": f"user-{number % 50}", "max_tokens": number % 7}
        if fault is not None:
            body["metadata"] = {"sim_fault": fault}
        body["model"] = "slow" if number % 53 == 0 else fault or "good"
        asked.append((path, body, 0.02 if number % 53 == 0 else None))
    return asked


async def ask(session: aiohttp.ClientSession, path: str, body: dict[str, Any], leave: float | None) -> str:
    try:
        async with asyncio.timeout(leave), session.post(path, json=body) as answer:
            await answer.read()
            return str(answer.status)
    except TimeoutError:
        return "left"


def things() -> Counter[str]:
    """Everything that belongs to a request under way."""
    gc.collect()
    kinds = (Exchange, StreamReading, Response, Reservation)
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))


def booked() -> list[Meter]:
    """Whose requests are still counted as under way."""
    return [one for one in gc.get_objects() if isinstance(one, Meter) and one.in_flight]


def connections_to(url: str) -> int:
    port = int(url.rpartition(":")[2])
    found = psutil.Process().net_connections("tcp")
    return sum(1 for one in found if one.raddr and one.raddr.port == port)


@pytest.fixture
async def gateway_and_provider(installation: Installation, tmp_path: Path, provider_url: str) -> Any:
    limits: dict[str, Any] = {
        "first_byte_timeout_seconds": 1.0,
        "total_timeout_seconds": 1.5,
        "breaker": NEVER,
    }
    models = {"good": "sim:tokens=4", "slow": "sim:token_ms=5,latency_ms=40"}
    models |= dict.fromkeys(Fault, "sim:tokens=4,slow_ms=20")
    limits["prices"] = Prices(input_per_million=1.0, output_per_million=2.0)
    await installation.publish(
        credential(limits=PLENTY),
        *(endpoint(key, f"{provider_url}/v1", model=model, **limits) for key, model in models.items()),
        *(route(key, variant("stable", key), limits=PLENTY, unit_limits=PLENTY) for key in models),
    )
    async with running_gateway(installation.kafka, tmp_path) as gateway:
        await gateway.knows_routes(len(models))
        yield gateway, provider_url


async def test_nothing_is_left(gateway_and_provider: Any) -> None:
    gateway, provider_url = gateway_and_provider
    async with aiohttp.ClientSession(gateway.url, headers=HEADERS) as session:
        # The first outcome connects the publisher.
        assert await ask(session, PATHS[0], {"model": "good"}, None) == "200"
    await gateway.until(lambda state: state["checks"]["outcomes"]["acknowledged"] == 1)
    tasks_before, things_before = len(asyncio.all_tasks()), things()

    waiting = iter(requests())
    answers: Counter[str] = Counter()

    async def caller(session: aiohttp.ClientSession) -> None:
        for path, body, leave in waiting:
            answers[await ask(session, path, body, leave)] += 1

    connector = aiohttp.TCPConnector(limit=CALLERS)
    async with aiohttp.ClientSession(gateway.url, headers=HEADERS, connector=connector) as session:
        await asyncio.gather(*(caller(session) for _ in range(CALLERS)))
    assert answers.total() == REQUESTS
    assert answers["200"] > REQUESTS / 2
    assert answers["left"] > 50

    state = await gateway.until(lambda state: state["requests"]["active"] == 0)
    assert state["checks"]["limits"]["held"] == 0
    assert booked() == []
    served = state["requests"]["served"]
    # Who leaves early enough was never there.
    assert REQUESTS - 50 < served <= REQUESTS + 1
    await gateway.until(lambda state: state["checks"]["outcomes"]["acknowledged"] == served)
    assert (await gateway.readiness())["checks"]["outcomes"]["waiting_bytes"] == 0
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > tasks_before or things() != things_before:
            await asyncio.sleep(0.05)
    # What stays open waits to be used again.
    assert connections_to(provider_url) <= CALLERS
    gateway.stop.set()
    async with asyncio.timeout(10):
        while connections_to(provider_url):
            await asyncio.sleep(0.05)
