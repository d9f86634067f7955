"""Each row of docs/errors.md, end to end: what a provider does, what the caller gets, what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from services.domain.status import OutcomeStatus as S
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]


@pytest.fixture
async def client(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> AsyncIterator[openai.AsyncOpenAI]:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1", first_byte_timeout_seconds=0.5, total_timeout_seconds=1.0),
        route("support", variant("stable", "only")),
    )
    await gateway.knows_routes(1)
    async with gateway.client() as opened:
        yield opened


def asking(fault: str | None, **changes: Any) -> Any:
    fault_ = {} if fault is None else {"metadata": {"sim_fault": fault}}
    return {"model": "support", "messages": MESSAGES} | fault_ | changes


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "http_status", "code"),
    [
        ("error", S.PROVIDER_ERROR, 500, "server_error"),
        ("rate_limit", S.PROVIDER_REFUSED, 429, "rate_limit_exceeded"),
        ("unauthorized", S.PROVIDER_REFUSED, 401, "invalid_api_key"),
        ("forbidden", S.PROVIDER_REFUSED, 403, "permission_denied"),
        ("not_found", S.PROVIDER_REFUSED, 404, "model_not_found"),
        ("timeout_408", S.TIMEOUT, 408, "timeout"),
        ("bad_request", S.CALLER_ERROR, 400, "invalid_value"),
        ("unprocessable", S.CALLER_ERROR, 422, "unprocessable_entity"),
        ("content_filter_400", S.CONTENT_FILTERED, 400, "content_filter"),
    ],
)
async def test_a_providers_own_answer_is_passed_on(
    client: openai.AsyncOpenAI,
    installation: Installation,
    fault: str,
    status: S,
    http_status: int,
    code: str,
    stream: bool,
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(**asking(fault, stream=stream))
    assert raised.value.status_code == http_status
    assert raised.value.code == code
    assert raised.value.response.headers["x-headgate-variant"] == "stable"
    outcome = await installation.outcome()
    assert (outcome.status, outcome.http_status, outcome.streamed) == (status, http_status, stream)
    assert [(a.status, a.http_status) for a in outcome.attempts] == [(status, http_status)]


async def test_a_retry_after_is_passed_on(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        await client.chat.completions.create(**asking("rate_limit"))
    assert raised.value.response.headers["retry-after"] == "1"
    assert raised.value.response.headers["x-headgate-upstream-request-id"] == "sim-refused"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("hang", S.TIMEOUT),
        ("refuse", S.CONNECTION_FAILED),
        ("garbage", S.PROVIDER_ERROR),
        ("broken_early", S.CONNECTION_FAILED),
    ],
)
async def test_an_endpoint_that_gives_no_answer(
    client: openai.AsyncOpenAI, installation: Installation, fault: str, status: S, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(**asking(fault, stream=stream))
    assert (raised.value.status_code, raised.value.code) == (503, "endpoint_unavailable")
    assert "only:" in raised.value.message
    outcome = await installation.outcome()
    assert (outcome.status, outcome.http_status) == (status, 503)
    assert [(a.status, a.http_status) for a in outcome.attempts] == [(status, 0)]


@pytest.mark.parametrize(("fault", "status"), [("broken", S.CONNECTION_FAILED), ("stall", S.TIMEOUT)])
async def test_a_whole_answer_that_breaks_off_was_none(
    client: openai.AsyncOpenAI, installation: Installation, fault: str, status: S
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(**asking(fault))
    assert raised.value.code == "endpoint_unavailable"
    assert (await installation.outcome()).status is status


@pytest.mark.parametrize("fault", ["broken", "stall"])
async def test_a_stream_that_breaks_off_ends_in_an_error(
    client: openai.AsyncOpenAI, installation: Installation, fault: str
) -> None:
    stream: Any = await client.chat.completions.create(**asking(fault, stream=True))
    words: list[str | None] = []

    async def listen() -> None:
        async for chunk in stream:
            words.append(chunk.choices[0].delta.content)  # noqa: PERF401 - it is cut short

    with pytest.raises(openai.APIError) as raised:
        await listen()
    assert words
    assert raised.value.code == "stream_broken"
    outcome = await installation.outcome()
    assert (outcome.status, outcome.http_status) == (S.STREAM_BROKEN, 200)
    assert outcome.first_token_us is not None
    assert [a.status for a in outcome.attempts] == [S.STREAM_BROKEN]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_content_filter_that_cuts_an_answer_off(
    client: openai.AsyncOpenAI, installation: Installation, stream: bool
) -> None:
    answer: Any = await client.chat.completions.create(**asking("content_filter", stream=stream))
    if stream:
        reasons = [chunk.choices[0].finish_reason async for chunk in answer]
    else:
        reasons = [answer.choices[0].finish_reason]
    assert reasons[-1] == "content_filter"
    outcome = await installation.outcome()
    assert (outcome.status, outcome.http_status) == (S.CONTENT_FILTERED, 200)


async def test_a_caller_who_hangs_up_before_the_answer(
    client: openai.AsyncOpenAI, installation: Installation, provider_url: str
) -> None:
    await installation.publish(endpoint("only", f"{provider_url}/v1"))
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(**asking("hang"), timeout=0.2)
    outcome = await installation.outcome()
    assert outcome.status is S.CALLER_GAVE_UP
    assert [a.status for a in outcome.attempts] == [S.CALLER_GONE]


async def test_a_caller_who_hangs_up_in_the_middle_of_a_stream(
    client: openai.AsyncOpenAI, installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    slow = variant("stable", "patient", model="sim:token_ms=50,tokens=10000")
    await installation.publish(endpoint("patient", f"{provider_url}/v1"), route("slow", slow))
    await gateway.knows_routes(2)
    stream: Any = await client.chat.completions.create(**asking(None, model="slow", stream=True))
    async for _ in stream:
        break
    await stream.close()
    async with asyncio.timeout(10):
        outcome = await installation.outcome()
    assert outcome.status is S.CALLER_GONE
    assert outcome.first_token_us is not None
