"""``headgate dev``: the whole product on this machine until Ctrl-C, with something to try at once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from services.demo.control import ControlApi
from services.demo.product import Addresses, new_admin_key, on_embedded_stack
from services.demo.screen import Screen
from services.demo.setup import create_route, create_team_key, create_variant, wait_until_served
from services.embedded.databases import connection_string

GATEWAY_PORT, API_PORT, PROVIDER_PORT, ROUTING_METRICS_PORT, FIRST_WORKER_METRICS_PORT = range(8080, 8085)

WELCOME = """
  gateway    {gateway}   (OpenAI-compatible: base_url {gateway}/v1)
  api        {api}   (docs at {api}/docs)
  provider   {provider}   (simulated)
  Kafka      {kafka}
  Postgres   {postgres}
  logs       {logs}
  metrics    {metrics}

  client key {client_key}
  admin key  {admin_key}

  Try:

  curl -s {gateway}/v1/chat/completions \\
    -H "Authorization: Bearer {client_key}" -H "x-headgate-unit: user-1" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "hello", "messages": [{{"role": "user", "content": "Hello"}}]}}'

  Ctrl-C ends everything.
"""


async def run_dev(*, workers: int, data: Path | None, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set, which also ends a start that is under way."""
    screen = Screen()
    screen.heading("Headgate on this machine")
    running = asyncio.create_task(_run(screen, workers, data))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not running.done():
        screen.say("stopping …")
        running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    screen.say("everything is stopped")


async def _run(screen: Screen, workers: int, data: Path | None) -> None:
    usual = _usual_addresses(workers)
    addresses = Addresses.free_or(usual)
    if addresses != usual:
        last = usual.worker_metrics_ports[-1]
        screen.say(
            f"of the usual ports {GATEWAY_PORT}–{last} one is taken, so others are used: "
            "take care which one you ask"
        )
    admin_key = _kept(data, "admin-key") or _keep(data, "admin-key", new_admin_key())
    async with on_embedded_stack(screen.say, addresses, data=data, admin_key=admin_key) as (
        product,
        stack,
    ):
        async with ControlApi(product.addresses.api, product.admin_key) as api:
            if not await api.exists("/v1/routes/hello"):
                await create_variant(api, "hello-stable", product.addresses.provider, "sim:error_rate=0.01")
                await create_variant(api, "hello-broken", product.addresses.provider, "sim:error_rate=0.3")
                await create_route(api, "hello", "hello-stable")
            client_key = _kept(data, "client-key")
            client_key = client_key or _keep(data, "client-key", await create_team_key(api, "dev"))
            await wait_until_served(product.addresses.gateway, client_key, "hello")
        screen.console.print(
            WELCOME.format(
                gateway=product.addresses.gateway,
                api=product.addresses.api,
                provider=product.addresses.provider,
                kafka=stack.bootstrap_servers,
                postgres=connection_string(stack.database_url),
                logs=product.place,
                metrics="\n             ".join(
                    f"{place}   ({name})" for name, place in product.addresses.metrics.items()
                ),
                client_key=client_key,
                admin_key=product.admin_key,
            ),
            markup=False,
        )
        await asyncio.Event().wait()  # until cancelled


def _usual_addresses(workers: int) -> Addresses:
    of_workers = range(FIRST_WORKER_METRICS_PORT, FIRST_WORKER_METRICS_PORT + workers)
    return Addresses(GATEWAY_PORT, API_PORT, PROVIDER_PORT, ROUTING_METRICS_PORT, tuple(of_workers))


def _kept(data: Path | None, name: str) -> str | None:
    """Return what an earlier run kept beside the data."""
    path = None if data is None else data / name
    return path.read_text().strip() if path is not None and path.exists() else None


def _keep(data: Path | None, name: str, value: str) -> str:
    """Keep a key beside the data, where data is kept, readable by its owner only."""
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        path = data / name
        path.touch(mode=0o600)
        path.write_text(f"{value}\n")
    return value
