"""Connections that wait for their next request, the latest used first."""

from __future__ import annotations

import asyncio

from services.gateway.corking import Cork
from services.gateway.transport.connection import Connection
from services.gateway.transport.failures import unreachable
from services.gateway.transport.limits import Limits
from services.gateway.transport.origins import Origin


class Pool:
    """Owns every connection, from before it is made until it is lost."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._cork = Cork(loop)
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        self.closed = False

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self._all)

    @property
    def idle_connections(self) -> int:
        """How many of them wait."""
        return sum(map(len, self._idle.values()))

    def new(self, origin: Origin) -> Connection:
        """Return a connection that is still to be made."""
        connection = Connection(self._loop, self, self._cork, origin, self._limits)
        if self.closed:
            connection.end()
        else:
            self._all.add(connection)
        return connection

    def take(self, origin: Origin, now: float) -> Connection | None:
        """Return the connection that was used last, if one can be used again."""
        waiting = self._idle.get(origin)
        while waiting:
            connection = waiting.pop()
            if connection.usable(now):
                return connection
            connection.end()
        return None

    def free(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        now = connection.idle_since = self._loop.time()
        waiting = self._idle.get(connection.origin)
        if waiting is None:
            waiting = self._idle[connection.origin] = []
        # Whether it is still open is asked when it is taken.
        if self.closed or len(waiting) >= self._limits.idle_connections or connection.too_old(now):
            connection.end()
            return
        waiting.append(connection)
        if self._sweeping is None:
            self._sweep_later()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._all.discard(connection)
        waiting = self._idle.get(connection.origin, [])
        if connection in waiting:
            waiting.remove(connection)
        if self._emptied is not None and not self._all and not self._emptied.done():
            self._emptied.set_result(None)

    async def close(self) -> None:
        """End every connection, and return when all are closed."""
        self.closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        for connection in list(self._all):
            connection.end(unreachable("this gateway is stopping"))
            if not connection.connected:
                # Whoever is connecting it finds it closed.
                self._all.discard(connection)
        if self._all:
            self._emptied = self._loop.create_future()
            await self._emptied

    def _sweep_later(self) -> None:
        self._sweeping = self._loop.call_later(self._limits.idle_seconds / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self._loop.time()
        for origin, waiting in list(self._idle.items()):
            kept = [connection for connection in waiting if connection.usable(now)]
            for connection in set(waiting).difference(kept):
                connection.end()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        if self._idle:
            self._sweep_later()
