"""Limits of one gateway, by the official client: refusals, headers, retries, and what is settled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from services.domain.configuration import Prices, TeamConfig
from services.domain.limits import Limits
from services.domain.token_estimate import prompt_tokens
from tests.integration.gateway.clients import client_of
from tests.integration.gateway.running import (
    KEY,
    Installation,
    RunningGateway,
    credential,
    endpoint,
    route,
    running_gateway,
    variant,
    version,
)
from tests.integration.gateway.watching import metric

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
MODEL = "sim:tokens=16"
SLOW = "sim:tokens=40,token_ms=20"


async def serve(
    installation: Installation,
    gateway: RunningGateway,
    provider_url: str,
    *,
    model: str = MODEL,
    prices: Prices | None = None,
    key: Limits | None = None,
    team: Limits | None = None,
    **limits: Limits,
) -> None:
    """A route, its limits, and the gateway ready to share them."""
    await installation.publish(
        TeamConfig(version=version(), key="web", limits=team),
        credential(limits=key, team="web"),
        endpoint("only", f"{provider_url}/v1", model=model, prices=prices),
        route("support", variant("stable", "only"), **limits),
    )
    await gateway.knows_routes(1)
    await until_shared(gateway, 1)


async def until_shared(gateway: RunningGateway, gateways: int) -> None:
    """Wait until the gateways hear each other."""
    await gateway.until(
        lambda state: (
            state["checks"]["limits"]["shared"] and state["checks"]["limits"]["gateways"] == gateways
        )
    )


async def ask(client: openai.AsyncOpenAI, unit: str = "ada", **changes: Any) -> Any:
    """Return an answer with its headers."""
    values: dict[str, Any] = {"model": "support", "messages": MESSAGES} | changes
    return await client.chat.completions.with_raw_response.create(
        extra_headers={"x-headgate-unit": unit}, **values
    )


async def asked(client: openai.AsyncOpenAI) -> str | None:
    """The code that a request is refused with, None where it is not."""
    try:
        await ask(client, max_tokens=16)
    except openai.RateLimitError as error:
        return error.code
    return None


async def settled(gateway: RunningGateway) -> None:
    """Wait until nothing is held."""
    await gateway.until(lambda state: state["checks"]["limits"]["held"] == 0)


def estimate(**changes: Any) -> int:
    """What the gateway takes the prompt to be, as the official client spells it."""
    body = {"messages": MESSAGES, "model": "support"} | changes
    return prompt_tokens(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client, without retries of its own."""
    async with gateway.client() as client:
        yield client


async def test_five_at_once_cannot_overspend_a_token_limit(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    # Room for two requests with their cap, and a bit.
    each = estimate(max_tokens=100) + 100
    limits = Limits(tokens_per_minute=2 * each + 20)
    await serve(installation, gateway, provider_url, model="sim:tokens=16,latency_ms=200", limits=limits)
    found = await asyncio.gather(*(ask(client, max_tokens=100) for _ in range(5)), return_exceptions=True)
    refused = [one for one in found if isinstance(one, openai.RateLimitError)]
    assert len(refused) == 3
    assert refused[0].code == "rate_limit_exceeded"
    assert "tokens in any 60 seconds" in refused[0].message
    # What was reserved and not used is there again.
    await settled(gateway)
    used = sum(outcome.prompt_tokens + outcome.completion_tokens for outcome in await installation.outcomes())  # type: ignore[operator]
    raw = await ask(client, max_tokens=100)
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) == 2 * each + 20 - used - each


@pytest.mark.parametrize("scope", ["key", "team", "limits", "unit_limits"])
async def test_the_official_client_sees_a_rate_limit_with_its_headers(
    installation: Installation,
    gateway: RunningGateway,
    client: openai.AsyncOpenAI,
    provider_url: str,
    scope: str,
) -> None:
    await serve(installation, gateway, provider_url, **{scope: Limits(requests_per_minute=2)})  # type: ignore[arg-type]
    first, second = await ask(client), await ask(client)
    assert [one.headers["x-ratelimit-limit-requests"] for one in (first, second)] == ["2", "2"]
    assert [one.headers["x-ratelimit-remaining-requests"] for one in (first, second)] == ["1", "0"]
    assert first.headers["x-ratelimit-reset-requests"] == "1m0s"
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(client)
    headers = refused.value.response.headers
    assert 0 < int(headers["retry-after-ms"]) <= 60_250
    assert 1 <= int(headers["retry-after"]) <= 61
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "ada" not in refused.value.message
    # Somebody else's limit is another one.
    if scope == "unit_limits":
        await ask(client, "bob")
    kind = {"limits": "route", "unit_limits": "unit"}.get(scope, scope)
    refusals = await metric(gateway, "headgate_limit_refusals_total", scope=kind, limit="requests_per_minute")
    assert refusals == 1
    served = 3 if scope == "unit_limits" else 2
    assert len(await installation.expect_outcomes(served)) == served


async def test_concurrency(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await serve(
        installation,
        gateway,
        provider_url,
        model="sim:tokens=4,latency_ms=300,latency_sigma=0",
        key=Limits(concurrency=2),
    )
    found = await asyncio.gather(*(ask(client) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, openai.RateLimitError) for one in found) == 3
    await settled(gateway)
    await ask(client)


@pytest.mark.parametrize("quantity", ["dollars", "tokens"])
async def test_a_budget_is_a_quota_that_no_client_retries(
    installation: Installation, gateway: RunningGateway, provider_url: str, quantity: str
) -> None:
    prices = Prices(input_per_million=0.0, output_per_million=1000.0)
    each = estimate(max_tokens=16) + 16
    # Sixteen tokens of an answer are 0.016 dollars.
    budgets = {"dollars": Limits(dollars_per_day=0.04), "tokens": Limits(tokens_per_day=2 * each)}
    await serve(installation, gateway, provider_url, prices=prices, team=budgets[quantity])
    served = 0
    async with client_of("AsyncOpenAI", gateway.url, max_retries=5) as client:

        async def ask_on() -> None:
            nonlocal served
            for _ in range(10):
                await client.ask(
                    lambda c: c.chat.completions.create(model="support", messages=MESSAGES, max_tokens=16)
                )
                served += 1

        with pytest.raises(openai.RateLimitError) as refused:
            await ask_on()
    assert served >= 2
    assert refused.value.code == "insufficient_quota"
    assert refused.value.type == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"
    # One refusal: the client did not try again.
    refusals = await metric(
        gateway, "headgate_limit_refusals_total", scope="team", limit=f"{quantity}_per_day"
    )
    assert refusals == 1


async def test_what_never_fits_is_said_to(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await serve(installation, gateway, provider_url, limits=Limits(tokens_per_minute=500))
    with pytest.raises(openai.BadRequestError, match="never fits") as refused:
        await ask(client, max_tokens=1_000)
    assert refused.value.code == "request_exceeds_limit"
    await ask(client, max_tokens=100)


async def test_the_client_comes_back_when_it_is_told_to(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    await serve(
        installation,
        gateway,
        provider_url,
        model="sim:tokens=4,latency_ms=600,latency_sigma=0",
        limits=Limits(concurrency=1),
    )
    async with client_of("AsyncOpenAI", gateway.url, max_retries=3) as client:
        one = client.ask(lambda c: c.chat.completions.create(model="support", messages=MESSAGES))
        other = client.ask(lambda c: c.chat.completions.create(model="support", messages=MESSAGES))
        await asyncio.gather(one, other)
    assert await metric(gateway, "headgate_limit_refusals_total", scope="route", limit="concurrency") >= 1


@pytest.mark.parametrize("who", ["caller", "provider", "nobody"])
async def test_a_stream_settles_what_it_used(
    installation: Installation, gateway: RunningGateway, provider_url: str, who: str
) -> None:
    await serve(installation, gateway, provider_url, model=SLOW, limits=Limits(tokens_per_minute=10_000))
    body: dict[str, Any] = {"model": "support", "messages": MESSAGES, "stream": True, "max_tokens": 2_000}
    if who == "provider":
        body["metadata"] = {"sim_fault": "broken"}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        async with session.post("/v1/chat/completions", json=body) as answer:
            assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 8_000
            if who == "caller":
                for _ in range(10):
                    await answer.content.readuntil(b"\n\n")
            else:
                await answer.content.read()
        await settled(gateway)
        one = {"model": "support", "messages": MESSAGES, "max_tokens": 0}
        async with session.post("/v1/chat/completions", json=one) as answer:
            left = int(answer.headers["x-ratelimit-remaining-tokens"])
    used = 10_000 - left - prompt_tokens(json.dumps(one).encode())
    outcome = next(one for one in await installation.expect_outcomes(2) if one.streamed)
    prompt = prompt_tokens(json.dumps(body).encode())
    if who == "nobody":
        assert used == (outcome.prompt_tokens or 0) + (outcome.completion_tokens or 0)
    else:
        assert outcome.prompt_tokens is None
        # The prompt, and the pieces that came: neither nothing nor all that was reserved.
        assert prompt + 9 <= used <= prompt + 42


async def test_a_failure_settles_to_nothing(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await serve(installation, gateway, provider_url, limits=Limits(tokens_per_minute=10_000))
    with pytest.raises(openai.InternalServerError):
        await ask(client, max_tokens=5_000, extra_body={"metadata": {"sim_fault": "error"}})
    raw = await ask(client, max_tokens=10)
    each = estimate(max_tokens=10) + 10
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) == 10_000 - each


async def test_whoever_names_no_unit_has_no_unit_limit(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await serve(installation, gateway, provider_url, unit_limits=Limits(requests_per_minute=1))
    for _ in range(3):
        await client.chat.completions.create(model="support", messages=MESSAGES)


async def test_the_tightest_limit_is_told_and_the_providers_are_not(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await serve(
        installation,
        gateway,
        provider_url,
        key=Limits(requests_per_minute=100, tokens_per_minute=5_000),
        limits=Limits(requests_per_minute=50, tokens_per_minute=100_000),
    )
    raw = await ask(client, max_tokens=10)
    assert raw.headers["x-ratelimit-limit-requests"] == "50"
    assert raw.headers["x-ratelimit-limit-tokens"] == "5000"
    assert raw.headers.get_list("x-ratelimit-limit-requests") == ["50"]


async def test_a_restart_keeps_the_days_budget(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    budget = Limits(tokens_per_day=2 * (estimate(max_tokens=16) + 16))
    async with running_gateway(installation.kafka, tmp_path / "one") as gateway:
        await serve(installation, gateway, provider_url, limits=budget)
        async with gateway.client() as client:
            await ask(client, max_tokens=16)
            await ask(client, max_tokens=16)
    # Another machine, so nothing but Kafka can know.
    async with running_gateway(installation.kafka, tmp_path / "two") as gateway:
        await gateway.knows_routes(1)
        async with gateway.client() as client:
            found = [await asked(client) for _ in range(3)]
        assert "insufficient_quota" in found
        await until_shared(gateway, 1)


async def test_no_limits_no_headers_and_nothing_shared(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    await gateway.knows_routes(1)
    raw = await ask(client)
    assert not [name for name in raw.headers if name.startswith("x-ratelimit")]
    state = (await gateway.readiness())["checks"]["limits"]
    assert (state["ok"], state["silent_seconds"], state["tracked"]) == (True, None, 0)
