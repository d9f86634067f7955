"""Running a coroutine as a process: event loop, signals, logging."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop


def set_up_logging(level: int | str | None = None) -> None:
    """Log to stderr, one line a record, at HEADGATE_LOG_LEVEL (default INFO)."""
    logging.basicConfig(
        level=level or os.environ.get("HEADGATE_LOG_LEVEL", "INFO").upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # While Kafka is away aiokafka writes several lines for each of its many tries; ours say it once.
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def serve(main: Callable[[asyncio.Event], Awaitable[None]], *, quiet: bool = False) -> None:
    """Run ``main`` until it returns; SIGINT and SIGTERM set the event it is given."""
    set_up_logging("WARNING" if quiet else None)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    uvloop.run(run())
