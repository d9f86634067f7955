"""The whole product, as processes, on the session's Kafka.

The tests of a module share one, each with a route of its own; those that break something have their own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.demo.control import ControlApi
from services.demo.product import Product
from services.demo.setup import create_key, create_route, create_variant, wait_until_served
from services.demo.traffic import Traffic
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.storage.counting_totals import CountingTotals, read_totals
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.storage.tables import route_counts

SETTINGS = {"HEADGATE_ROUTING_LOOK_SECONDS": "0.2"}
PATIENCE_SECONDS = 120.0
"""How long to wait for what should come in a few: a busy machine may be slow, and that is no fault."""
NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Loop:
    """A running product with a route, its stable variant, and variants that could follow it.

    ``key`` is that of the experiment that the route is for.
    """

    product: Product
    api: ControlApi
    client_key: str
    route: str
    key: str

    def traffic(self, requests_per_second: float, units: Iterator[str] | None = None) -> Traffic:
        return Traffic(
            self.product.addresses.gateway,
            self.client_key,
            self.route,
            requests_per_second,
            units or (f"unit-{n}" for n in itertools.count()),
        )

    @asynccontextmanager
    async def under_load(
        self, requests_per_second: float, units: Iterator[str] | None = None
    ) -> AsyncIterator[Traffic]:
        """Traffic for as long as the block runs."""
        traffic = self.traffic(requests_per_second, units)
        running = asyncio.create_task(traffic.run(at_most_seconds=1.5 * PATIENCE_SECONDS))
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
            {"key": self.key, "route": self.route, "kind": "canary", "treatment": treatment, **definition},
        )
        await self.api.post(f"/v1/experiments/{self.key}/start")

    async def canary(self) -> dict[str, Any]:
        return await self.api.get(f"/v1/experiments/{self.key}")

    async def canary_ends(self, within_seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the canary is stopped and return its conclusion."""
        async with asyncio.timeout(within_seconds):
            while (experiment := await self.canary())["status"] != "stopped":
                await asyncio.sleep(0.05)
        return str(experiment["conclusion"])

    async def decisions(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.api.get(f"/v1/experiments/{self.key}/decisions"))["items"]
        return items

    async def counted(self, expected: int, within_seconds: float = PATIENCE_SECONDS) -> CountingTotals:
        """Wait until ``expected`` outcomes of the route are counted, or time is up; return what is.

        Nothing is ever missing, lost or dead here, so those figures may be of everybody.
        """
        settings = DatabaseSettings(database_url=self.product.database_url)
        engine = create_engine(settings, application_name="test")
        of_route = sa.select(sa.func.coalesce(sa.func.sum(route_counts.c.requests), 0)).where(
            route_counts.c.route_key == self.route
        )
        deadline = asyncio.get_running_loop().time() + within_seconds
        try:
            while True:
                async with engine.connect() as connection:
                    counted = int(await connection.scalar(of_route) or 0)
                    totals = await read_totals(connection)
                if counted >= expected or asyncio.get_running_loop().time() > deadline:
                    return replace(totals, outcomes_counted=counted)
                await asyncio.sleep(0.05)
        finally:
            await engine.dispose()


async def eventually(condition: Callable[[], bool], within_seconds: float = PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(within_seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
async def shared(
    kafka: str,
    module_database_url: str,
    module_topic_prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Loop]:
    """The product on the session's servers, for the tests of a module."""
    place = tmp_path_factory.mktemp("product")
    async with running(kafka, module_database_url, place, module_topic_prefix) as loop:
        yield loop


@pytest.fixture
async def loop(shared: Loop) -> Loop:
    """The module's product, with a route and an experiment's key of the test's own."""
    number = next(NUMBERS)
    route = f"bot-{number}"
    await create_route(shared.api, route, "steady")
    await wait_until_served(shared.product.addresses.gateway, shared.client_key, route)
    return replace(shared, route=route, key=f"canary-{number}")


@pytest.fixture
async def own_loop(kafka: str, database_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    """A product of the test's own, on the session's servers."""
    async with running(kafka, database_url, tmp_path, topic_prefix) as loop:
        yield loop


@pytest.fixture
async def breakable_loop(
    own_kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[Loop]:
    """A product of the test's own on servers of its own, which the test may stop."""
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
        yield Loop(product, api, client_key, "bot", "canary")
