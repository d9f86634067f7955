"""Endpoints that are down, busy or drained, as callers and watchers see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from services.demo.asgi import Receive, Scope, Send, read_body, send_json
from services.demo.asgi_server import serve_until
from services.domain.configuration import BreakerSettings, EndpointConfig, ProbeSettings
from services.domain.status import OutcomeStatus as S
from services.gateway.server import address_of, listen
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    route,
    running_gateway,
    variant,
)
from tests.integration.gateway.watching import endpoint_state, metric, until_endpoint

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
PATIENT = BreakerSettings(minimum_requests=1_000_000, consecutive_failures=1_000_000)


async def serve(
    installation: Installation, gateway: RunningGateway, *endpoints: EndpointConfig, **changes: Any
) -> None:
    """Serve the route ``support`` by the endpoints."""
    stable = variant("stable", *(one.key for one in endpoints), **changes)
    await installation.publish(*endpoints, route("support", stable))
    await gateway.knows_routes(1)


async def ask(gateway: RunningGateway, **changes: Any) -> Any:
    async with gateway.client() as client:
        return await client.chat.completions.create(model="support", messages=MESSAGES, **changes)


async def failure(gateway: RunningGateway) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as raised:
        await ask(gateway)
    return raised.value


async def control(provider_url: str, model: str, **behaviour: Any) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{provider_url}/control/{model}", json=behaviour) as answer,
    ):
        assert answer.status == 200


async def asked(provider_url: str, model: str) -> int:
    """How many requests a model has got."""
    async with aiohttp.ClientSession() as session, session.get(f"{provider_url}/control/stats") as answer:
        return int((await answer.json())[model]["requests"])


async def test_a_breaker_opens_and_closes(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    breaker = BreakerSettings(consecutive_failures=3, open_seconds=0.3)
    only = endpoint("only", f"{provider_url}/v1", model="sim-breaks", breaker=breaker)
    await control(provider_url, "sim-breaks", error_rate=1)
    await serve(installation, gateway, only)
    assert [(await failure(gateway)).status_code for _ in range(3)] == [500, 500, 500]

    refused = await failure(gateway)
    assert (refused.status_code, refused.code) == (503, "no_healthy_endpoints")
    assert refused.response.headers["retry-after"] == "1"
    assert "only is left alone" in refused.message
    assert await asked(provider_url, "sim-breaks") == 3
    outcomes = await installation.expect_outcomes(4)
    (unserved,) = (one for one in outcomes if not one.attempts)
    assert unserved.status is S.UNSERVEABLE
    troubled = (await gateway.readiness())["checks"]["endpoints"]["troubled"]
    assert [one["key"] for one in troubled] == ["only"]

    await control(provider_url, "sim-breaks", error_rate=0)
    await until_endpoint(gateway, "only", lambda one: one["breakers"][0]["state"] == "half_open")
    assert await metric(gateway, "headgate_breaker_state", endpoint="only", model="sim-breaks") == 1
    for _ in range(2):
        assert (await ask(gateway)).choices
    assert (await endpoint_state(gateway, "only"))["breakers"][0]["state"] == "closed"
    assert await metric(gateway, "headgate_breaker_opened_total", endpoint="only", model="sim-breaks") == 1


async def test_retry_after_is_honoured(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    first = endpoint("first", f"{provider_url}/v1", model="sim-limited")
    second = endpoint("second", f"{provider_url}/v1", priority=1)
    await control(provider_url, "sim-limited", rate_limit_rate=1)
    await serve(installation, gateway, first, second)
    for _ in range(5):
        assert (await ask(gateway)).choices
    assert await asked(provider_url, "sim-limited") == 1

    await control(provider_url, "sim-limited", rate_limit_rate=0)
    await until_endpoint(gateway, "first", lambda one: one["breakers"][0]["state"] == "half_open")
    assert (await ask(gateway)).choices
    assert await asked(provider_url, "sim-limited") == 2
    attempts = [[a.endpoint_key for a in one.attempts] for one in await installation.expect_outcomes(6)]
    assert sorted(attempts) == [["first"], ["first", "second"], *[["second"]] * 4]


@asynccontextmanager
async def hanging_request(gateway: RunningGateway, key: str) -> AsyncIterator[None]:
    """A request that the endpoint is working on."""
    task = asyncio.create_task(ask(gateway))
    try:
        await until_endpoint(gateway, key, lambda one: one["in_flight"] == 1)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until_endpoint(gateway, key, lambda one: one["in_flight"] == 0)


async def test_the_idle_endpoint_is_preferred(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    busy = endpoint("busy", f"{provider_url}/v1", model="sim:hang_rate=1")
    await serve(installation, gateway, busy)
    async with hanging_request(gateway, "busy"):
        idle = endpoint("idle", f"{provider_url}/v1")
        both = variant("stable", "busy", "idle", selection="least_loaded")
        await installation.publish(idle, route("support", both))
        await until_endpoint(gateway, "idle", lambda _: True)
        for _ in range(20):
            assert (await ask(gateway)).choices


async def test_an_endpoint_at_its_limit_is_skipped_and_then_callers_wait(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    small = endpoint("small", f"{provider_url}/v1", model="sim:hang_rate=1", max_concurrency=1)
    await serve(installation, gateway, small)
    async with hanging_request(gateway, "small"):
        limited = await failure(gateway)
        assert (limited.status_code, limited.code) == (429, "concurrency_limit")
        assert isinstance(limited, openai.RateLimitError)
        assert limited.response.headers["retry-after"] == "1"
        outcome = await installation.outcome()
        assert (outcome.status, outcome.http_status, outcome.attempts) == (S.REJECTED, 429, ())

        spare = endpoint("spare", f"{provider_url}/v1", priority=1)
        await installation.publish(spare, route("support", variant("stable", "small", "spare")))
        await until_endpoint(gateway, "spare", lambda _: True)
        assert (await ask(gateway)).choices


async def test_a_drained_endpoint_finishes_and_gets_nothing_new(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    first = endpoint("first", f"{provider_url}/v1", model="sim:token_ms=30")
    second = endpoint("second", f"{provider_url}/v1", priority=1)
    await serve(installation, gateway, first, second)
    async with gateway.client() as client:
        stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)
        await anext(stream)
        await installation.publish(
            endpoint("first", f"{provider_url}/v1", model="sim:token_ms=30", drained=True)
        )
        await until_endpoint(gateway, "first", lambda one: one["drained"] and one["in_flight"] == 1)
        assert (await ask(gateway)).choices
        assert [chunk.choices[0].finish_reason async for chunk in stream][-1] == "stop"
    by_stream = {one.streamed: one for one in await installation.expect_outcomes(2)}
    assert [a.endpoint_key for a in by_stream[True].attempts] == ["first"]
    assert [a.endpoint_key for a in by_stream[False].attempts] == ["second"]
    assert await metric(gateway, "headgate_endpoint_drained", endpoint="first") == 1


async def test_retries_do_not_storm(installation: Installation, provider_url: str, tmp_path: Path) -> None:
    requests, share = 100, 0.2
    model = "sim-storm"
    await control(provider_url, model, error_rate=1, error_status=502)
    endpoints = [
        endpoint(key, f"{provider_url}/v1", model=model, breaker=PATIENT) for key in ("one", "two", "three")
    ]
    async with running_gateway(
        installation.kafka, tmp_path, retry_budget_share=share, retry_budget_minimum_per_second=0
    ) as gateway:
        await serve(installation, gateway, *endpoints)
        for _ in range(10):
            failures = await asyncio.gather(*(failure(gateway) for _ in range(requests // 10)))
            assert {one.status_code for one in failures} == {502}, "the failure itself is passed on"
        outcomes = await installation.expect_outcomes(requests)
        attempts = sum(len(one.attempts) for one in outcomes)
        assert await asked(provider_url, model) == attempts
        assert requests < attempts <= (1 + share) * requests
        labels = {"route": "support", "variant": "stable"}
        assert await metric(gateway, "headgate_retries_total", **labels) == attempts - requests
        assert await metric(gateway, "headgate_retry_budget_exhausted_total", **labels) > 0


class Probed:
    """An upstream whose probes can be made to fail."""

    def __init__(self) -> None:
        self.probe_status = 200
        self.asked: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive, None, 1 << 20)
        if scope["method"] == "GET":
            assert scope["path"] == "/v1/alive"
            self.asked.append(dict(scope["headers"]))
            await send_json(send, self.probe_status, {})
        else:
            await send_json(send, 200, {"choices": []})


async def test_an_active_probe_takes_an_endpoint_out_and_brings_it_back(
    installation: Installation, gateway: RunningGateway
) -> None:
    upstream, stop, bound = Probed(), asyncio.Event(), listen("127.0.0.1", 0)
    serving = asyncio.create_task(serve_until(upstream, bound, stop, grace_seconds=1))
    probe = ProbeSettings(path="/alive", interval_seconds=0.1)
    try:
        await serve(installation, gateway, endpoint("probed", f"{address_of(bound)}/v1", probe=probe))
        await until_endpoint(gateway, "probed", lambda one: one["probe"] is not None)
        assert (await ask(gateway)).choices == []
        assert upstream.asked[0][b"authorization"].startswith(b"Bearer sk-")

        upstream.probe_status = 503
        await until_endpoint(gateway, "probed", lambda one: not one["probe"]["healthy"])
        refused = await failure(gateway)
        assert refused.code == "no_healthy_endpoints"
        assert "probed fails its probe" in refused.message
        assert await metric(gateway, "headgate_endpoint_probe_healthy", endpoint="probed") == 0
        detail = (await endpoint_state(gateway, "probed"))["probe"]["detail"]
        assert detail == "it answered 503, not 200"

        upstream.probe_status = 200
        await until_endpoint(gateway, "probed", lambda one: one["probe"]["healthy"])
        assert (await ask(gateway)).choices == []
    finally:
        stop.set()
        await serving


@pytest.mark.parametrize("fault", ["broken", "stall", None])
async def test_streams_leave_nothing_in_flight(
    installation: Installation, gateway: RunningGateway, provider_url: str, fault: str | None
) -> None:
    only = endpoint("only", f"{provider_url}/v1", total_timeout_seconds=0.5)
    await serve(installation, gateway, only, model="sim:token_ms=5")
    metadata = {} if fault is None else {"sim_fault": fault}
    stream = await ask(gateway, stream=True, metadata=metadata)
    async for _ in stream:
        break
    await stream.close()
    await until_endpoint(gateway, "only", lambda one: one["in_flight"] == 0)


async def test_the_metrics_page(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    first = endpoint("first", f"{provider_url}/v1", model="sim:error_rate=1")
    await serve(installation, gateway, first, endpoint("second", f"{provider_url}/v1", priority=1))
    for _ in range(3):
        assert (await ask(gateway)).choices
    labels = {"route": "support", "variant": "stable"}
    assert await metric(gateway, "headgate_requests_total", status="ok", **labels) == 3
    assert await metric(gateway, "headgate_request_duration_seconds_count", **labels) == 3
    assert await metric(gateway, "headgate_request_duration_seconds_bucket", le="+Inf", **labels) == 3
    assert await metric(gateway, "headgate_attempts_total", endpoint="first", status="provider_error") == 3
    assert await metric(gateway, "headgate_attempts_total", endpoint="second", status="ok") == 3
    assert await metric(gateway, "headgate_endpoint_in_flight", endpoint="first") == 0
    assert await metric(gateway, "headgate_outcomes_offered_total") == 3
    assert await metric(gateway, "headgate_routes") == 1
    assert await metric(gateway, "headgate_ready") == 1
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/metrics") as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
