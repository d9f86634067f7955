"""``python -m services.routing``: the routing service with its settings from the environment."""

from __future__ import annotations

import asyncio
import logging
import signal

from services.messaging.settings import KafkaSettings
from services.routing.app import serve
from services.routing.settings import RoutingSettings
from services.storage.settings import DatabaseSettings


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(RoutingSettings(), KafkaSettings(), DatabaseSettings(), stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(main())
