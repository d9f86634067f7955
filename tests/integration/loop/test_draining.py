"""Draining an endpoint: from the api, through the outbox and Kafka, to the gateway, and back."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from services.demo.setup import ENDPOINT
from tests.integration.loop.conftest import Loop

pytestmark = pytest.mark.loop


async def until_answered(loop: Loop, status: int) -> str:
    """Ask until the gateway answers so; return the answer."""
    headers = {"Authorization": f"Bearer {loop.client_key}"}
    url = f"{loop.product.addresses.gateway}/v1/chat/completions"
    async with asyncio.timeout(60), aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.post(url, json={"model": "bot", "messages": []}) as answer:
                if answer.status == status:
                    return await answer.text()
            await asyncio.sleep(0.02)


async def test_a_drain_reaches_the_gateway(loop: Loop) -> None:
    await until_answered(loop, 200)
    await loop.api.post(f"/v1/endpoints/{ENDPOINT}/drain", {"reason": "maintenance"})
    assert f"{ENDPOINT} is drained" in await until_answered(loop, 503)
    await loop.api.post(f"/v1/endpoints/{ENDPOINT}/undrain")
    await until_answered(loop, 200)
