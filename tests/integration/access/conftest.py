"""A control plane, the relay of its outbox, and gateways: everything that a key passes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.setup import migrate_everything
from services.messaging.outbox import OutboxRelay
from services.messaging.settings import KafkaSettings
from services.storage.outbox import OutboxQueue
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.api.conftest import Client, served
from tests.integration.gateway.running import RunningGateway, running_gateway, running_provider

PARTITIONS = 3


@dataclass
class Installation:
    """A running installation whose routes ``chat`` and ``other`` a simulated provider serves."""

    api: Client
    engine: AsyncEngine
    kafka: KafkaSettings
    state: Path
    stack: AsyncExitStack
    gateways: list[RunningGateway] = field(default_factory=list)

    @property
    def session(self) -> aiohttp.ClientSession:
        return self.api.session

    async def start_gateways(self, count: int) -> None:
        """Start gateways that know the routes."""
        for number in range(count):
            starting = running_gateway(self.kafka, self.state / str(number))
            self.gateways.append(await self.stack.enter_async_context(starting))
        for gateway in self.gateways:
            await gateway.knows_routes(2)

    async def make_key(self, **body: object) -> tuple[str, str]:
        """Create a key; return its id and the key."""
        made = await self.api.made("/v1/keys", {"label": "of the tests", **body})
        return made["key_id"], made["key"]

    async def revoke(self, key_id: str) -> None:
        """Revoke a key."""
        assert (await self.api.call("DELETE", f"/v1/keys/{key_id}")).status == 200

    async def refusal(self, gateway: RunningGateway, key: str) -> str | None:
        """What a gateway says against a key; None where it takes it."""
        headers = {"Authorization": f"Bearer {key}"}
        async with self.session.get(f"{gateway.url}/v1/models", headers=headers) as answer:
            return None if answer.status == 200 else (await answer.json())["error"]["message"]

    async def until_taken(self, gateway: RunningGateway, key: str) -> None:
        """Wait until a gateway takes a key."""
        async with asyncio.timeout(60):
            while await self.refusal(gateway, key) is not None:
                await asyncio.sleep(0.005)

    async def until_refused(self, gateway: RunningGateway, key: str, because: str) -> None:
        """Wait until a gateway refuses a key with these words."""
        async with asyncio.timeout(60):
            while because not in (await self.refusal(gateway, key) or ""):
                await asyncio.sleep(0.005)


@pytest.fixture
async def installation(
    database_url: str, kafka: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    database = DatabaseSettings(database_url=database_url)
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)
    await migrate_everything(database, settings, PARTITIONS)
    engine, stop = create_engine(database, application_name="headgate-tests"), asyncio.Event()
    relaying = asyncio.create_task(OutboxRelay(settings, OutboxQueue(engine)).run(stop))
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(running_provider())
        api = await stack.enter_async_context(served(engine))
        await _define(api, provider)
        yield Installation(api, engine, settings, tmp_path, stack)
    stop.set()
    await relaying
    await engine.dispose()


async def _define(api: Client, provider: str) -> None:
    await api.made("/v1/endpoints", {"key": "simulated", "kind": "openai", "base_url": f"{provider}/v1"})
    await api.made("/v1/variants", {"key": "v", "endpoints": ["simulated"], "model": "sim"})
    for route in ("chat", "other"):
        await api.made("/v1/routes", {"key": route, "stable": "v"})
