"""The whole product, as processes, on the session's Kafka and a database of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.demo.control import ControlApi
from services.demo.product import Product
from services.demo.setup import create_key, create_route, create_variant, wait_until_served
from services.demo.traffic import Traffic
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.storage.counting_totals import CountingTotals, read_totals
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

SETTINGS = {"HEADGATE_ROUTING_LOOK_SECONDS": "0.2"}


@dataclass(slots=True)
class Loop:
    """A running product with one route, its stable variant, and variants that could follow it."""

    product: Product
    api: ControlApi
    client_key: str

    def traffic(self, requests_per_second: float, units: Iterator[str] | None = None) -> Traffic:
        return Traffic(
            self.product.addresses.gateway,
            self.client_key,
            "bot",
            requests_per_second,
            units or (f"unit-{n}" for n in itertools.count()),
        )

    @asynccontextmanager
    async def under_load(
        self, requests_per_second: float, units: Iterator[str] | None = None
    ) -> AsyncIterator[Traffic]:
        """Traffic for as long as the block runs."""
        traffic = self.traffic(requests_per_second, units)
        running = asyncio.create_task(traffic.run(at_most_seconds=150))
        try:
            await eventually(lambda: len(traffic.answers) > 20)
            yield traffic
        finally:
            traffic.stop()
            await running

    async def start_canary(self, treatment: str, **definition: Any) -> None:
        plan = {"steps": [0.2, 0.5], "step_minimum_seconds": 2, "step_minimum_units": 50, "holdback_share": 0}
        definition = {"plan": plan, **definition}
        await self.api.post(
            "/v1/experiments",
            {"key": "canary", "route": "bot", "kind": "canary", "treatment": treatment, **definition},
        )
        await self.api.post("/v1/experiments/canary/start")

    async def canary(self) -> dict[str, Any]:
        return await self.api.get("/v1/experiments/canary")

    async def canary_ends(self, within_seconds: float = 60.0) -> str:
        """Wait until the canary is stopped and return its conclusion."""
        async with asyncio.timeout(within_seconds):
            while (experiment := await self.canary())["status"] != "stopped":
                await asyncio.sleep(0.05)
        return str(experiment["conclusion"])

    async def decisions(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.api.get("/v1/experiments/canary/decisions"))["items"]
        return items

    async def counted(self, expected: int, within_seconds: float = 60.0) -> CountingTotals:
        """Wait until ``expected`` outcomes are counted, or time is up; returns what is counted."""
        settings = DatabaseSettings(database_url=self.product.database_url)
        engine = create_engine(settings, application_name="test")
        deadline = asyncio.get_running_loop().time() + within_seconds
        try:
            while True:
                async with engine.connect() as connection:
                    totals = await read_totals(connection)
                if totals.outcomes_counted >= expected or asyncio.get_running_loop().time() > deadline:
                    return totals
                await asyncio.sleep(0.05)
        finally:
            await engine.dispose()


async def eventually(condition: Callable[[], bool], within_seconds: float = 60.0) -> None:
    async with asyncio.timeout(within_seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def loop(kafka: str, database_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    """The product on the session's servers."""
    async with running(kafka, database_url, tmp_path, topic_prefix) as loop:
        yield loop


@pytest.fixture
async def breakable_loop(
    own_kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[Loop]:
    """The product on servers of its own, which the test may stop."""
    async with running(own_kafka.bootstrap_servers, own_postgres.url, tmp_path, "") as loop:
        yield loop


@asynccontextmanager
async def running(kafka: str, database_url: str, place: Path, topic_prefix: str) -> AsyncIterator[Loop]:
    lines: list[str] = []
    async with (
        Product(
            kafka, database_url, place, lines.append, topic_prefix=topic_prefix, settings=SETTINGS
        ) as product,
        ControlApi(product.addresses.api, product.admin_key) as api,
    ):
        for key, error_rate in (("steady", 0.01), ("next", 0.01), ("broken", 0.4)):
            model = f"sim:error_rate={error_rate},latency_ms=2"
            await create_variant(api, key, product.addresses.provider, model)
        await create_route(api, "bot", "steady")
        client_key = await create_key(api, "test")
        await wait_until_served(product.addresses.gateway, client_key, "bot")
        yield Loop(product, api, client_key)
