"""Accepts callers until an event ends it, and keeps the time for their connections."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

from services.gateway.corking import Cork
from services.gateway.inbound.connection import CallerConnection, Handler
from services.gateway.inbound.heads import Preambles
from services.gateway.inbound.limits import CallerLimits

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class CallerServer:
    """Every connection of this process's callers. ``now`` is the loop's time, to within a tick.

    Connections do not set timers: once a tick it is looked which of them have been silent for too long.
    """

    def __init__(self, handler: Handler, limits: CallerLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.preambles = Preambles()
        self._loop = asyncio.get_running_loop()
        self.cork = Cork(self._loop)
        self.now = self._loop.time()
        self._connections: set[CallerConnection] = set()
        self._emptied = asyncio.Event()
        self._stopping = False
        self._ticking: asyncio.TimerHandle | None = None

    async def serve_until(self, bound: socket.socket, stop: asyncio.Event, *, grace_seconds: float) -> None:
        """Serve until ``stop``; then accept nobody else and give those being served ``grace_seconds``."""
        self._tick()
        try:
            listening = await self._loop.create_server(
                lambda: CallerConnection(self._loop, self), sock=bound, backlog=BACKLOG
            )
            try:
                await stop.wait()
            finally:
                listening.close()
                bound.close()
                await self._drain(grace_seconds)
        finally:
            if self._ticking is not None:
                self._ticking.cancel()

    def made(self, connection: CallerConnection) -> None:
        """A caller has connected."""
        self._connections.add(connection)
        if self._stopping:
            # It was accepted just before nobody was any more.
            connection.stop()

    def lost(self, connection: CallerConnection) -> None:
        """A caller is gone, and nothing works for it any more."""
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(TICK_SECONDS, self._tick)
        self.now = self._loop.time()
        self.preambles.turn_to(time.time())
        silent_since = self.now - self.limits.patience_seconds
        for connection in list(self._connections):
            if connection.heard_at < silent_since and connection.waits_for_caller:
                connection.give_up()

    async def _drain(self, grace_seconds: float) -> None:
        self._stopping = True
        for connection in list(self._connections):
            connection.stop()
        try:
            await asyncio.wait_for(self._until_empty(), max(grace_seconds, SHORTEST_GRACE_SECONDS))
        except TimeoutError:
            logger.warning("cutting off %d callers after %g s", len(self._connections), grace_seconds)
            for connection in list(self._connections):
                connection.give_up()
            await self._until_empty()

    async def _until_empty(self) -> None:
        while self._connections:
            self._emptied.clear()
            await self._emptied.wait()


BACKLOG = 2048
SHORTEST_GRACE_SECONDS = 1.0
"""Even an answer that is written already takes a moment to be sent."""
