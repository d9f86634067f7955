"""What providers are asked: the caller's bytes, the variant's changes, the gateway's own credentials."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.messaging.consumer import read_topic
from tests.integration.gateway.recorder import Recorder, recording
from tests.integration.gateway.running import (
    KEY,
    SECRET,
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

BODY = '{"model": "support", "messages": [ {"role":"user", "content":"\\u00e9 é"} ],  "n": 1.0}'


@pytest.fixture
async def upstream() -> AsyncIterator[Recorder]:
    async with recording() as recorder:
        yield recorder


async def post(gateway: RunningGateway, body: str = BODY, **headers: str) -> tuple[Mapping[str, str], bytes]:
    headers = {"Authorization": f"Bearer {KEY}"} | headers
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/v1/chat/completions", data=body.encode(), headers=headers) as answer,
    ):
        assert answer.status == 200
        return answer.headers.copy(), await answer.read()


async def serve(
    installation: Installation, gateway: RunningGateway, url: str, variant_: dict[str, Any], **changes: Any
) -> None:
    await installation.publish(
        endpoint("only", url, **changes), route("support", variant("stable", "only", **variant_))
    )
    await gateway.knows_routes(1)


async def test_openai(installation: Installation, gateway: RunningGateway, upstream: Recorder) -> None:
    await serve(installation, gateway, f"{upstream.url}/v1", {"model": "gpt-x"})
    await post(gateway, Cookie="a=b", **{"X-Api-Key": "callers", "OpenAI-Organization": "callers"})
    (asked,) = upstream.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    sent = BODY.replace('"support"', '"gpt-x"')
    assert asked.body == sent.encode()
    assert not {"cookie", "x-api-key", "openai-organization"} & asked.headers.keys()
    assert KEY not in str(asked.headers)


async def test_azure_openai(installation: Installation, gateway: RunningGateway, upstream: Recorder) -> None:
    azure = {"endpoint_kind": "azure_openai", "api_version": "2024-10-21", "model": "my-deployment"}
    await serve(installation, gateway, upstream.url, {"model": "gpt-x"}, **azure)
    await post(gateway)
    (asked,) = upstream.asked
    assert (asked.path, asked.query) == (
        "/openai/deployments/my-deployment/chat/completions",
        "api-version=2024-10-21",
    )
    assert asked.headers["api-key"] == SECRET
    assert "authorization" not in asked.headers
    assert json.loads(asked.body)["model"] == "my-deployment"


async def test_the_simulated_provider_speaks_azure_too(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    await serve(installation, gateway, provider_url, {"model": "sim"}, endpoint_kind="azure_openai")
    _, answer = await post(gateway)
    assert json.loads(answer)["model"] == "sim"


async def test_a_variants_prompt_and_parameters(
    installation: Installation, gateway: RunningGateway, upstream: Recorder
) -> None:
    changes = {"model": "gpt-x", "system_prompt": "Be brief.", "parameters": {"n": 2, "seed": 5}}
    await serve(installation, gateway, f"{upstream.url}/v1", changes)
    await post(gateway)
    assert json.loads(upstream.asked[0].body) == {
        "model": "gpt-x",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "é é"}],
        "n": 2,
        "seed": 5,
    }


async def test_the_answer_keeps_its_bytes_and_useful_headers(
    installation: Installation, gateway: RunningGateway, upstream: Recorder
) -> None:
    upstream.answer = b'{ "id" : "x",\n "usage":{"prompt_tokens":3,"completion_tokens":4} }'
    upstream.answer_headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"x-request-id", b"req_upstream"),
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"set-cookie", b"secret=1"),
    ]
    await serve(installation, gateway, f"{upstream.url}/v1", {})
    headers, answer = await post(gateway)
    assert answer == upstream.answer
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["x-headgate-upstream-request-id"] == "req_upstream"
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-request-id"] == headers["x-headgate-request-id"] != "req_upstream"
    assert "set-cookie" not in headers
    outcome = await installation.outcome()
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (3, 4)


async def test_a_large_body_arrives_whole(
    installation: Installation, gateway: RunningGateway, upstream: Recorder
) -> None:
    await serve(installation, gateway, f"{upstream.url}/v1", {})
    text = "é" * 1_500_000
    body = json.dumps({"model": "support", "messages": [text]}, ensure_ascii=False)
    async with aiohttp.ClientSession() as session:
        parts = (part async for part in _pieces(body.encode()))
        headers = {"Authorization": f"Bearer {KEY}"}
        async with session.post(f"{gateway.url}/v1/chat/completions", data=parts, headers=headers) as answer:
            assert answer.status == 200
    assert json.loads(upstream.asked[0].body)["messages"] == [text]


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 100_000):
        yield body[at : at + 100_000]


async def test_secrets_and_keys_are_nowhere(
    installation: Installation,
    gateway: RunningGateway,
    upstream: Recorder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    await serve(installation, gateway, f"{upstream.url}/v1", {})
    headers, answer = await post(gateway)
    await installation.outcome()
    places = [str(headers), answer.decode(), caplog.text, str(await gateway.readiness())]
    for topic in (installation.topics.outcomes, installation.topics.config):
        places += [str((r.key, r.value)) for r in await read_topic(installation.kafka, topic)]
    snapshot = tmp_path / "state"
    while not list(snapshot.glob("config*.json")):
        await gateway.readiness()
    places += [path.read_bytes().decode("latin-1") for path in snapshot.iterdir()]
    for place in places:
        assert KEY not in place
        assert SECRET not in place
