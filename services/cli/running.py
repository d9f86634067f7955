"""Running a coroutine as a process: event loop, signals, logging."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import click
import uvloop

from services.cli.log_format import FORMAT_VARIABLE, JsonFormatter, formatter, log_what_nobody_caught


def set_up_logging(level: int | str | None = None) -> None:
    """Log to stderr, one line a record.

    HEADGATE_LOG_LEVEL (INFO) says what, HEADGATE_LOG_FORMAT (text) in which form.
    """
    handler = logging.StreamHandler(sys.stderr)
    try:
        handler.setFormatter(formatter(os.environ.get(FORMAT_VARIABLE)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    logging.basicConfig(
        level=level or os.environ.get("HEADGATE_LOG_LEVEL", "INFO").upper(), handlers=[handler]
    )
    if isinstance(handler.formatter, JsonFormatter):
        log_what_nobody_caught()
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
