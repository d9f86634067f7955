"""A running control plane on a database of the test's own, and a client of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.app import create_app, server_config
from services.api.callers import check_somebody_may_come_in
from services.api.settings import ApiSettings
from services.domain.configuration import Config, RouteConfig
from services.storage.installation import ensure_installation
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.storage.tables import outbox

ADMIN_KEY = "admin-of-the-tests"


@dataclass(frozen=True)
class Answer:
    """A response, read."""

    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """Calls the api as an administrator would."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        options.setdefault("headers", {"Authorization": f"Bearer {ADMIN_KEY}"})
        async with self.session.request(method, self.url + path, **options) as response:
            body = await response.json(content_type=None)
            return Answer(response.status, body, {k.lower(): v for k, v in response.headers.items()})

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.call("POST", path, **({} if body is None else {"json": body}))

    async def put(self, path: str, body: Any) -> Answer:
        return await self.call("PUT", path, json=body)

    async def made(self, path: str, body: Any) -> Any:
        """Create something that must succeed."""
        answer = await self.post(path, body)
        assert answer.status == 201, answer.body
        return answer.body


@asynccontextmanager
async def installed(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database that is an installation."""
    engine = create_engine(DatabaseSettings(database_url=database_url), application_name="headgate-tests")
    async with engine.begin() as connection:
        await ensure_installation(connection, 8)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def served(engine: AsyncEngine, **changes: Any) -> AsyncIterator[Client]:
    """A client of a control plane that serves with the engine; ``changes`` are of its settings."""
    settings = ApiSettings(**{"admin_key": SecretStr(ADMIN_KEY)} | changes)
    await check_somebody_may_come_in(settings.admin_key.get_secret_value(), engine)
    async with listening(create_app(settings, engine), settings) as url, aiohttp.ClientSession() as session:
        yield Client(session, url)


@asynccontextmanager
async def listening(app: FastAPI, settings: ApiSettings) -> AsyncIterator[str]:
    """The address of an application that is served as the product serves it.

    But uvicorn's loop, which takes up to 0.2 seconds to end, is not run.
    """
    config = server_config(app, settings)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        await server.startup(sockets=[bound])
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        for one in server.servers:
            one.close()
    async with asyncio.timeout(10):
        while server.server_state.connections or server.server_state.tasks:
            await asyncio.sleep(0.001)


async def define(client: Client) -> None:
    """Create an endpoint, two variants and the route ``chat``."""
    await client.made("/v1/endpoints", {"key": "openai", "kind": "openai", "base_url": "https://llm.test/v1"})
    for key in ("old", "new"):
        await client.made("/v1/variants", {"key": key, "endpoints": ["openai"], "model": f"model-{key}"})
    await client.made("/v1/routes", {"key": "chat", "stable": "old"})


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with installed(database_url) as engine:
        yield engine


@pytest.fixture
async def client(engine: AsyncEngine) -> AsyncIterator[Client]:
    """A client of a control plane with nothing defined."""
    async with served(engine) as client:
        yield client


@pytest.fixture
async def defined(client: Client) -> Client:
    """A control plane with an endpoint, two variants and the route ``chat``."""
    await define(client)
    return client


@pytest.fixture
async def drafted(defined: Client) -> Client:
    """The same, with the canary ``canary`` drafted on the route."""
    await defined.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
    return defined


AB_TEST = {
    "key": "test",
    "route": "chat",
    "kind": "ab_test",
    "variants": [{"key": "old", "weight": 0.5}, {"key": "short", "weight": 0.5}],
    "goals": ["satisfaction_rate"],
    "traffic_share": 0.5,
}


async def define_more(client: Client) -> None:
    """Create two more variants to compare."""
    for key in ("short", "long"):
        await client.made("/v1/variants", {"key": key, "endpoints": ["openai"], "model": f"model-{key}"})


@pytest.fixture
async def tested(defined: Client) -> Client:
    """The A/B test ``test`` of ``old`` and ``short`` drafted on the route, and the canary ``canary``."""
    await define_more(defined)
    await defined.made("/v1/experiments", AB_TEST)
    await defined.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
    return defined


async def newest_route(engine: AsyncEngine) -> RouteConfig:
    """The route as it was last published."""
    query = sa.select(outbox.c.value).where(outbox.c.topic == "config.v1").order_by(outbox.c.outbox_id.desc())
    async with engine.connect() as connection:
        value = await connection.scalar(query)
    assert value is not None
    state = msgspec.json.decode(value, type=Config)
    assert isinstance(state, RouteConfig)
    return state
