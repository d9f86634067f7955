"""An ASGI application on uvicorn inside this process, until an event ends it.

For what the gateway is tried against: the simulated provider, and the servers of tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "headgate.transport"
"""Scope key of the connection's transport."""

KEEP_ALIVE_SECONDS = 75


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which also hands out its transport."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("MutableMapping[str, Any]", self.scope)[TRANSPORT] = self.transport


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs the process decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_until(
    app: Callable[..., Any], bound: socket.socket, stop: asyncio.Event, *, grace_seconds: float
) -> None:
    """Serve until ``stop``; then accept nobody else and give those being served ``grace_seconds``."""
    server = _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(grace_seconds)),
        )
    )
    # Its start-up lines say less than ours.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
