"""What the gateway refuses by itself: one shape, a way out in every message, and no outcome."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.gateway.running import (
    KEY,
    Installation,
    RunningGateway,
    credential,
    endpoint,
    route,
    variant,
)

LIMIT = 10 * 1024 * 1024
GOOD = {"model": "support", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture
async def session(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> AsyncIterator[aiohttp.ClientSession]:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"),
        credential("limited-key", routes=("sales",)),
        credential("revoked-key", revoked=True),
        route("support", variant("stable", "only")),
        route("sales", variant("stable", "only")),
        route("strict", variant("stable", "only"), unit_fallback="reject"),
    )
    await gateway.knows_routes(3)
    async with aiohttp.ClientSession(gateway.url) as opened:
        yield opened


async def error_of(answer: aiohttp.ClientResponse) -> tuple[int, str, str]:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-headgate-request-id"]
    body: dict[str, Any] = await answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return answer.status, body["error"]["code"], body["error"]["message"]


async def refused(
    session: aiohttp.ClientSession, body: object = GOOD, *, key: str | None = KEY
) -> tuple[int, str, str]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with session.post(CHAT, data=data, headers=headers) as answer:
        return await error_of(answer)


@pytest.mark.parametrize("key", [None, "unknown-key", "revoked-key", ""])
async def test_a_key_that_is_none(session: aiohttp.ClientSession, key: str | None) -> None:
    status, code, message = await refused(session, key=key)
    assert (status, code) == (401, "invalid_api_key")
    assert "unknown-key" not in message
    assert "revoked-key" not in message


async def test_a_key_for_other_routes(session: aiohttp.ClientSession) -> None:
    status, code, message = await refused(session, key="limited-key")
    assert (status, code) == (403, "model_not_allowed")
    assert "/v1/models" in message


async def test_a_route_that_is_none(session: aiohttp.ClientSession) -> None:
    status, code, message = await refused(session, GOOD | {"model": "gpt-9"})
    assert (status, code) == (404, "model_not_found")
    assert "gpt-9" in message
    assert "/v1/models" in message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"model": 4}'])
async def test_a_body_that_is_none(session: aiohttp.ClientSession, body: bytes) -> None:
    status, code, _ = await refused(session, body)
    assert (status, code) == (400, "invalid_request")


async def test_a_unit_that_is_missing(session: aiohttp.ClientSession) -> None:
    status, code, message = await refused(session, GOOD | {"model": "strict"})
    assert (status, code) == (400, "invalid_request")
    assert "x-headgate-unit" in message


async def test_a_body_that_says_it_is_too_large(session: aiohttp.ClientSession) -> None:
    status, code, message = await refused(session, b" " * (LIMIT + 1))
    assert (status, code) == (413, "request_too_large")
    assert f"{LIMIT:,}" in message


async def test_a_body_that_turns_out_to_be_too_large(session: aiohttp.ClientSession) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 65536 + 1):
            yield b" " * 65536

    headers = {"Authorization": f"Bearer {KEY}"}
    async with session.post(CHAT, data=endless(), headers=headers) as answer:
        assert (await error_of(answer))[:2] == (413, "request_too_large")


async def test_other_paths_and_methods(session: aiohttp.ClientSession) -> None:
    async with session.get(CHAT) as answer:
        assert (await error_of(answer))[:2] == (405, "method_not_allowed")
    async with session.post("/v1/nothing") as answer:
        assert (await error_of(answer))[:2] == (404, "not_found")
    async with session.get("/v1/models") as answer:
        assert (await error_of(answer))[:2] == (401, "invalid_api_key")
    async with session.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})


async def test_models_are_those_the_key_may_use(session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/models", headers={"Authorization": "Bearer limited-key"}) as answer:
        assert [model["id"] for model in (await answer.json())["data"]] == ["sales"]


async def test_none_of_it_is_an_outcome(
    session: aiohttp.ClientSession, gateway: RunningGateway, installation: Installation
) -> None:
    await refused(session, key=None)
    await refused(session, b"{")
    headers = {"Authorization": f"Bearer {KEY}"}
    async with session.post(CHAT, json=GOOD, headers=headers) as answer:
        assert answer.status == 200
    state = await gateway.readiness()
    assert state["requests"] == {"served": 1, "rejected": 2, "active": 0}
    await installation.outcome()
