"""Defining things through the api, as a team would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from services.demo.control import ControlApi
from services.domain.errors import HeadgateError

ENDPOINT = "simulated-provider"
PRICES = {"input_per_million": 0.15, "cached_input_per_million": 0.075, "output_per_million": 0.6}
TEAM = "demo"
SERVED_WITHIN_SECONDS = 20.0


async def create_variant(api: ControlApi, key: str, provider_url: str, model: str) -> None:
    """Create a variant that asks the simulated provider for ``model``; and the endpoint, where missing."""
    if not await api.exists(f"/v1/endpoints/{ENDPOINT}"):
        await api.post(
            "/v1/endpoints",
            {
                "key": ENDPOINT,
                "kind": "openai",
                "base_url": f"{provider_url}/v1",
                "secret": "env:SIMULATED_PROVIDER_KEY",
                "prices": PRICES,
            },
        )
    await api.post("/v1/variants", {"key": key, "endpoints": [ENDPOINT], "model": model})


async def create_route(api: ControlApi, key: str, stable: str) -> None:
    """Create a route that ``stable`` serves."""
    await api.post("/v1/routes", {"key": key, "stable": stable})


async def create_key(
    api: ControlApi, label: str, *, scopes: Sequence[str] = (), team: str | None = None
) -> str:
    """Create a client's key and return it; it is shown only now."""
    answer = await api.post("/v1/keys", {"label": label, "scopes": list(scopes), "team": team})
    return str(answer["key"])


async def create_team_key(api: ControlApi, label: str) -> str:
    """Create a client's key of the demo's team; and the team, where missing."""
    if not await api.exists(f"/v1/teams/{TEAM}"):
        await api.post("/v1/teams", {"key": TEAM, "label": "Who tries Headgate"})
    return await create_key(api, label, team=TEAM)


async def wait_until_served(gateway_url: str, client_key: str, route: str) -> None:
    """Return once the gateway knows the key and the route: both travel to it through Kafka."""
    headers = {"Authorization": f"Bearer {client_key}"}
    deadline = asyncio.get_running_loop().time() + SERVED_WITHIN_SECONDS
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.get(f"{gateway_url}/v1/models") as response:
                models = (await response.json()).get("data", []) if response.status == 200 else []
            if any(model["id"] == route for model in models):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise HeadgateError(f"the gateway did not learn of route {route}; is routing running?")
            await asyncio.sleep(0.02)


async def start_canary(api: ControlApi, key: str, route: str, treatment: str, plan: dict[str, Any]) -> None:
    """Define a canary with the default policy and start it."""
    await api.post(
        "/v1/experiments",
        {"key": key, "route": route, "kind": "canary", "treatment": treatment, "plan": plan},
    )
    await api.post(f"/v1/experiments/{key}/start")


async def change_model(provider_url: str, model: str, **behaviour: float) -> None:
    """Change how a simulated model behaves while it runs."""
    url = f"{provider_url}/control/{quote(model)}"
    async with aiohttp.ClientSession() as session, session.put(url, json=behaviour) as response:
        if response.status >= 400:
            raise HeadgateError(f"PUT {url}: {response.status} {await response.text()}")


async def wait_for_end(api: ControlApi, key: str, *, within_seconds: float = 30.0) -> dict[str, Any]:
    """Return an experiment once it is stopped; as it is then, when it is not in time."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    while True:
        experiment = await api.get(f"/v1/experiments/{key}")
        if experiment["status"] == "stopped" or asyncio.get_running_loop().time() > deadline:
            return experiment
        await asyncio.sleep(0.02)
