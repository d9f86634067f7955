"""An ASGI application on uvicorn inside this process, until an event ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, cast

import uvicorn
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

logger = logging.getLogger(__name__)

ON_HANG_UP = "headgate.on_hang_up"
"""Scope key under which an application may leave a function to be called when its caller hangs up."""
TRANSPORT = "headgate.transport"
"""Scope key of the connection's transport."""

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75


class _Gathered:
    """Stands in for a connection's transport while an answer's head and first piece are put together."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: list[bytes] = []
        self._closes = False

    def write(self, data: bytes) -> None:
        """Keep a piece."""
        self._pieces.append(data)

    def close(self) -> None:
        """Close once everything is written."""
        self._closes = True

    def flush(self) -> None:
        """Write everything at once."""
        self._transport.write(b"".join(self._pieces))
        if self._closes:
            self._transport.close()


class OneWriteCycle(RequestResponseCycle):
    """uvicorn's cycle, which writes an answer's head together with the first piece of its body.

    uvloop writes at once, so each write is a system call, and those are the dearest part of an answer.
    """

    _head: ASGISendEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        """Send an event; a head waits for the body's first piece."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is None:
            await super().send(message)
            return
        transport = self.transport
        gathered = _Gathered(transport)
        self.transport = cast("asyncio.Transport", gathered)
        try:
            await super().send(head)
            await super().send(message)
        finally:
            self.transport = transport
        if not self.disconnected:
            gathered.flush()


class WatchedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which also tells a request at once that its caller has hung up.

    ASGI itself only offers to wait for ``http.disconnect``, which costs a task for every request.
    """

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("MutableMapping[str, Any]", self.scope)[TRANSPORT] = self.transport

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # uvicorn has no place to name another class for its cycles; the task of this one has not begun yet.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if type(cycle) is RequestResponseCycle:
            cycle.__class__ = OneWriteCycle

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            return
        on_hang_up = cast("MutableMapping[str, Any]", cycle.scope).get(ON_HANG_UP)
        if on_hang_up is not None:
            cast("Callable[[], None]", on_hang_up)()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs the process decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; OSError says who has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def address_of(bound: socket.socket) -> str:
    """Return ``http://host:port`` of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve_until(
    app: Callable[..., Any], bound: socket.socket, stop: asyncio.Event, *, grace_seconds: float
) -> None:
    """Serve until ``stop``; then accept nobody else and give those being served ``grace_seconds``."""
    server = _Server(
        uvicorn.Config(
            app,
            http=WatchedProtocol,
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
