"""``headgate dev``: the whole product on this machine until Ctrl-C, with something to try at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.demo.control import ControlApi
from services.demo.product import Addresses, on_embedded_stack
from services.demo.screen import Screen
from services.demo.setup import create_key, create_route, create_variant, wait_until_served

DEV_ADDRESSES = Addresses(gateway_port=8080, api_port=8081, provider_port=8082)

WELCOME = """
  gateway    {gateway}   (OpenAI-compatible: base_url {gateway}/v1)
  api        {api}   (docs at {api}/docs)
  provider   {provider}   (simulated)
  Kafka      {kafka}
  Postgres   {postgres}

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
    """Run until ``stop`` is set."""
    screen = Screen()
    screen.heading("Headgate on this machine")
    addresses = Addresses.free_or(DEV_ADDRESSES)
    async with on_embedded_stack(screen.say, addresses, workers=workers, data=data) as (product, stack):
        async with ControlApi(product.addresses.api, product.admin_key) as api:
            if not await api.exists("/v1/routes/hello"):
                await create_variant(api, "hello-stable", product.addresses.provider, "sim:error_rate=0.01")
                await create_variant(api, "hello-broken", product.addresses.provider, "sim:error_rate=0.3")
                await create_route(api, "hello", "hello-stable")
            client_key = await create_key(api, "dev")
            await wait_until_served(product.addresses.gateway, client_key, "hello")
        screen.console.print(
            WELCOME.format(
                gateway=product.addresses.gateway,
                api=product.addresses.api,
                provider=product.addresses.provider,
                kafka=stack.bootstrap_servers,
                postgres=stack.database_url,
                client_key=client_key,
                admin_key=product.admin_key,
            ),
            markup=False,
        )
        await stop.wait()
        screen.say("stopping …")
