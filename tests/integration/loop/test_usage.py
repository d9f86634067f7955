"""What answers cost, from what the provider says it used to the view: nothing twice, nothing left out."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.demo.setup import create_route, wait_until_served
from services.embedded.processes import ManagedProcess
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.loop.conftest import Loop, eventually

pytestmark = pytest.mark.loop

OLD = {"input_per_million": 0.15, "cached_input_per_million": 0.0375, "output_per_million": 0.6}
NEW = {"input_per_million": 1.1, "cached_input_per_million": None, "output_per_million": 4.4007}
MODEL = "sim:cached_fraction=0.3,tokens=7,error_rate=0.1"
MESSAGES = [{"role": "user", "content": "how deep is the water at the gate? " * 3}]
CHAT: dict[str, Any] = {"messages": MESSAGES}
RESPONSE: dict[str, Any] = {"input": MESSAGES[0]["content"]}
STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("chat/completions", CHAT),
    ("chat/completions", CHAT | STREAMED),
    ("responses", RESPONSE),
    ("responses", RESPONSE | {"stream": True}),
    ("embeddings", RESPONSE),
]


def nanos(usage: dict[str, Any], prices: dict[str, Any]) -> int:
    """What an answer with this usage costs, by a price list for a million tokens."""
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    completion = usage.get("completion_tokens", usage.get("output_tokens", 0))
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    cached = details.get("cached_tokens", 0)
    per_input, per_output = (Decimal(str(prices[f"{kind}_per_million"])) for kind in ("input", "output"))
    per_cached = Decimal(str(prices["cached_input_per_million"] or prices["input_per_million"]))
    micros = (prompt - cached) * per_input + cached * per_cached + completion * per_output
    return int((1_000 * micros).quantize(Decimal(1), ROUND_HALF_UP))


@dataclass
class Asker:
    """Sends requests, and adds up what their answers say that was used."""

    session: aiohttp.ClientSession
    gateway: str
    prices: dict[str, Any] = field(default_factory=lambda: OLD)
    requests: int = 0
    failed: int = 0
    cached_tokens: int = 0
    cost_nanos: int = 0

    async def ask(self, number: int, route: str = "paid") -> int:
        surface, body = ASKED[number % len(ASKED)]
        asked = body | {"model": route, "safety_identifier": f"unit-{number}"}
        async with self.session.post(f"{self.gateway}/v1/{surface}", json=asked) as response:
            text = await response.text()
        self.requests += 1
        if response.status != 200:
            self.failed += 1
            return 0
        usage = usage_of(text)
        details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
        self.cached_tokens += details.get("cached_tokens", 0)
        cost = nanos(usage, self.prices)
        self.cost_nanos += cost
        return cost


def usage_of(text: str) -> dict[str, Any]:
    """The usage in an answer, whole or streamed."""
    if text.startswith("{"):
        found: dict[str, Any] = json.loads(text)["usage"]
        return found
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    usages = [(one.get("response") or one).get("usage") for one in events]
    return next(usage for usage in reversed(usages) if usage)


async def define(loop: Loop) -> tuple[str, str]:
    """A route with a priced endpoint and a team's key to it; return the key and its id."""
    endpoint = {
        "key": "priced",
        "kind": "openai",
        "base_url": f"{loop.product.addresses.provider}/v1",
        "prices": OLD,
    }
    await loop.api.post("/v1/endpoints", endpoint)
    await loop.api.post("/v1/variants", {"key": "paid", "endpoints": ["priced"], "model": MODEL})
    for route in ("paid", "probe"):
        await create_route(loop.api, route, "paid")
    await loop.api.post("/v1/teams", {"key": "search", "label": "Search"})
    key = await loop.api.post("/v1/keys", {"label": "search service", "team": "search"})
    await wait_until_served(loop.product.addresses.gateway, key["key"], "probe")
    return key["key"], key["key_id"]


@pytest.fixture
async def engine(loop: Loop) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(DatabaseSettings(database_url=loop.product.database_url), application_name="test")
    yield engine
    await engine.dispose()


async def rows(engine: AsyncEngine, query: str, **values: object) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(sa.text(query), values)).all())


async def probed(engine: AsyncEngine, asker: Asker) -> None:
    """Return once the gateway counts with the asker's prices."""
    sums = "coalesce(sum(requests), 0), coalesce(sum(cost_usd), 0)"
    query = f"SELECT {sums} FROM cost_by_day WHERE route_key = 'probe'"  # noqa: S608 - a constant
    async with asyncio.timeout(60):
        while True:
            ((before_requests, before),) = await rows(engine, query)
            cost = await asker.ask(0, "probe")
            while True:
                ((requests, after),) = await rows(engine, query)
                if requests > before_requests:
                    break
                await asyncio.sleep(0.02)
            if cost and (after - before) * 10**9 == cost:
                return


async def test_the_costs_of_all_answers_are_the_view(loop: Loop, engine: AsyncEngine) -> None:
    """While the worker is killed again and again, and prices change on the way."""
    key, key_id = await define(loop)
    headers = {"Authorization": f"Bearer {key}"}
    worker = loop.product.supervisor.process("worker-1")
    async with aiohttp.ClientSession(headers=headers) as session:
        asker = Asker(session, loop.product.addresses.gateway)
        for prices in (OLD, NEW):
            await loop.api.put("/v1/endpoints/priced/prices", prices)
            await probed(engine, Asker(session, asker.gateway, prices))
            asker.prices = prices
            for start in range(0, 300, 50):
                await asyncio.gather(*(asker.ask(number) for number in range(start, start + 50)))
                if start % 100 == 50:
                    await killed_and_started(worker)

    query = "SELECT * FROM {} WHERE route_key = 'paid'"
    async with asyncio.timeout(60):
        while sum(row.requests for row in await rows(engine, query.format("cost_by_day"))) < asker.requests:
            await asyncio.sleep(0.05)
    for view in ("cost_by_day", "usage_by_key"):
        found = await rows(engine, query.format(view))
        assert {row.team_key for row in found} == {"search"}
        assert sum(row.requests for row in found) == asker.requests == 600
        assert sum(row.errors for row in found) == asker.failed > 0
        assert sum(row.cached_tokens for row in found) == asker.cached_tokens > 0
        assert sum(row.cost_usd for row in found) * 10**9 == asker.cost_nanos > 0
        assert sum(row.unpriced_requests for row in found) == 0
    assert {row.key_id for row in found} == {key_id}

    shown = await loop.api.get("/v1/usage?group_by=team,variant&team=search&route=paid")
    assert shown["totals"]["cost_nanos"] == asker.cost_nanos
    changes = (await loop.api.get("/v1/endpoints/priced/prices"))["items"]
    assert [change["prices"] for change in changes] == [NEW, OLD]
    await key_was_used(loop, key_id)


async def killed_and_started(worker: ManagedProcess) -> None:
    before = worker.pid
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: worker.running and worker.pid != before)


async def key_was_used(loop: Loop, key_id: str) -> None:
    async with asyncio.timeout(30):
        while (await loop.api.get(f"/v1/keys/{key_id}"))["last_used_at"] is None:
            await asyncio.sleep(0.1)
