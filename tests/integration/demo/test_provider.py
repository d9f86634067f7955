"""The simulated provider, asked directly by the official client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest

from services.demo.provider_settings import ProviderSettings
from tests.integration.gateway.running import running_provider

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with running_provider(ProviderSettings(port=0)) as running:
        yield running


async def test_openai_and_azure_clients(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client:
        answer = await client.chat.completions.create(model="sim:tokens=3", messages=MESSAGES)
        assert answer.choices[0].message.content == "the gate opens "
    azure = openai.AsyncAzureOpenAI(azure_endpoint=url, api_key="any", api_version="2024-10-21")
    async with azure:
        answer = await azure.chat.completions.create(model="my-deployment", messages=MESSAGES)
        assert answer.model == "my-deployment"


async def test_a_model_changes_while_it_runs(url: str) -> None:
    async with (
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
        aiohttp.ClientSession(url) as control,
    ):
        await client.chat.completions.create(model="m", messages=MESSAGES)
        async with control.put("/control/m", json={"error_rate": 1.0, "error_status": 503}) as answer:
            assert answer.status == 200
        with pytest.raises(openai.InternalServerError) as raised:
            await client.chat.completions.create(model="m", messages=MESSAGES)
        assert raised.value.status_code == 503
        async with control.put("/control/m", json={"eror_rate": 1.0}) as answer:
            assert answer.status == 400
        async with control.get("/control/stats") as answer:
            stats = (await answer.json())["m"]
        assert (stats["requests"], stats["errors"]) == (2, 1)
        assert stats["last_error_at"] >= stats["first_request_at"]
        async with control.post("/control/reset") as answer:
            assert answer.status == 200
        async with control.get("/control/stats") as answer:
            assert await answer.json() == {}


async def test_a_fault_chosen_by_header(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(
                model="m", messages=MESSAGES, extra_headers={"x-sim-fault": "rate_limit"}
            )
