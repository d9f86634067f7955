"""Defining things through the api, as a team would."""

from __future__ import annotations

from typing import Any

from services.demo.control import ControlApi

ENDPOINT = "simulated-provider"


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
            },
        )
    await api.post("/v1/variants", {"key": key, "endpoints": [ENDPOINT], "model": model})


async def create_route(api: ControlApi, key: str, stable: str) -> None:
    """Create a route that ``stable`` serves."""
    await api.post("/v1/routes", {"key": key, "stable": stable})


async def create_key(api: ControlApi, label: str) -> str:
    """Create a client's key and return it; it is shown only now."""
    answer = await api.post("/v1/keys", {"label": label})
    return str(answer["key"])


async def start_canary(api: ControlApi, key: str, route: str, treatment: str, plan: dict[str, Any]) -> None:
    """Define a canary with the default policy and start it."""
    await api.post(
        "/v1/experiments",
        {"key": key, "route": route, "kind": "canary", "treatment": treatment, "plan": plan},
    )
    await api.post(f"/v1/experiments/{key}/start")
