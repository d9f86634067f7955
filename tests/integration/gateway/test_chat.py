"""Official clients through the gateway: what they get, what the headers say, what outcome is emitted."""

from __future__ import annotations

import asyncio

import openai

from services.domain.assignment import unit_hash
from services.domain.events import UnitSource
from services.domain.status import OutcomeStatus
from tests.integration.gateway.running import (
    KEY,
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

MESSAGES = [{"role": "user", "content": "Say something calm."}]


async def one_route(installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"),
        route("support", variant("stable", "only")),
    )
    await gateway.knows_routes(1)


async def test_a_whole_answer(installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
    await one_route(installation, gateway, provider_url)
    async with gateway.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="support", messages=MESSAGES, user="ada"
        )
    completion = raw.parse()
    assert completion.choices[0].message.content.startswith("the gate opens")
    assert raw.headers["x-headgate-route"] == "support"
    assert raw.headers["x-headgate-variant"] == "stable"
    assert raw.headers["x-headgate-allocation"] == "7"
    assert raw.headers["x-headgate-request-id"] == raw.headers["x-request-id"]
    assert raw.headers["x-headgate-upstream-request-id"] == "sim"

    outcome = await installation.outcome()
    assert outcome.status is OutcomeStatus.OK
    assert outcome.http_status == 200
    assert outcome.request_id == raw.headers["x-request-id"]
    assert (outcome.route_key, outcome.variant_key) == ("support", "stable")
    assert (outcome.unit_hash, outcome.unit_source) == (unit_hash("ada"), UnitSource.USER)
    assert outcome.completion_tokens == completion.usage.completion_tokens == 16
    assert [attempt.endpoint_key for attempt in outcome.attempts] == ["only"]
    assert outcome.assignments == ()


async def test_a_stream(installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
    await one_route(installation, gateway, provider_url)
    async with gateway.client() as client:
        stream = await client.chat.completions.create(
            model="support", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        words = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(words).startswith("the gate opens")
    outcome = await installation.outcome()
    assert outcome.status is OutcomeStatus.OK
    assert outcome.streamed
    assert outcome.first_token_us is not None
    assert outcome.first_token_us <= outcome.latency_us
    assert outcome.completion_tokens == 16
    assert outcome.unit_source is UnitSource.REQUEST
    assert outcome.unit_hash == unit_hash(outcome.request_id)


async def test_the_synchronous_client(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    await one_route(installation, gateway, provider_url)

    def ask() -> tuple[str, str]:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
            whole = client.chat.completions.create(model="support", messages=MESSAGES)
            stream = client.chat.completions.create(model="support", messages=MESSAGES, stream=True)
            streamed = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            return whole.choices[0].message.content or "", "".join(streamed)

    whole, streamed = await asyncio.to_thread(ask)
    assert whole == streamed != ""
    await installation.expect_outcomes(2)


async def test_routes_are_listed_as_models(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    await one_route(installation, gateway, provider_url)
    async with gateway.client() as client:
        assert [model.id async for model in client.models.list()] == ["support"]
        assert (await client.models.retrieve("support")).owned_by == "headgate"
