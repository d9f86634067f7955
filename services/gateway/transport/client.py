"""The upstream on the gateway's own transport."""

from __future__ import annotations

import asyncio
import ssl
from math import inf

from services.gateway.transport import failures
from services.gateway.transport.coding import Inflated, coding_of
from services.gateway.transport.connection import Connection, Deadlines
from services.gateway.transport.connector import Connector
from services.gateway.transport.failures import RaceLost, late, unreachable
from services.gateway.transport.heads import Heads
from services.gateway.transport.limits import Limits
from services.gateway.transport.origins import Origin
from services.gateway.transport.pool import Pool
from services.gateway.transport.proxies import Proxies
from services.gateway.transport.response import Response
from services.gateway.transport.tls import client_context
from services.gateway.upstream import UpstreamAnswer, UpstreamFailed, UpstreamRequest


class PooledUpstream:
    """A pooled HTTP/1.1 client, as ``Upstream``. Belongs to the running loop.

    Without arguments, proxies come from the environment and trust from the system.
    """

    def __init__(
        self,
        *,
        proxies: Proxies | None = None,
        context: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        proxies = proxies or Proxies.from_environment()
        self._loop = asyncio.get_running_loop()
        self._heads = Heads(proxies)
        self.pool = Pool(self._loop, limits)
        self._connector = Connector(self._loop, self.pool, proxies, context or client_context(), limits)
        self.connected = 0
        """Connections made so far."""
        self.races_lost = 0
        """Requests sent a second time, because the server was closing the connection of the first."""

    async def open(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send the request and return when the answer's head is there. Raises UpstreamFailed.

        A request is sent again, once and on a new connection, only when it met a connection that was being
        closed: used before, lost without a byte of an answer, right after the request was written.
        """
        try:
            origin, head = self._heads.write(request.ask, len(request.body), request.lines)
        except ValueError as error:
            raise unreachable(f"it cannot be asked: {error}") from error
        now = self._loop.time()
        deadlines = _deadlines(request, now)
        waiting = self.pool.take(origin, now)
        if waiting is not None:
            response = waiting.ask(head, request.body, deadlines)
            try:
                await response.arrive()
            except RaceLost:
                self.races_lost += 1
            else:
                return _readable(response)
        connection = await self._connected(origin, deadlines, request.connect_timeout_seconds)
        response = connection.ask(head, request.body, deadlines)
        await response.arrive()
        return _readable(response)

    async def close(self) -> None:
        """Close the pool. Answers that are under way fail."""
        self._connector.close()
        await self.pool.close()

    async def _connected(self, origin: Origin, deadlines: Deadlines, seconds: float) -> Connection:
        # A task, because asyncio's timeouts need one; whoever asks may be none.
        connecting = self._loop.create_task(self._connect(origin, deadlines, seconds))
        try:
            return await connecting
        except asyncio.CancelledError:
            # Too late, perhaps: then there is a connection that nobody will ever use or give back.
            connecting.add_done_callback(_drop)
            raise

    async def _connect(self, origin: Origin, deadlines: Deadlines, seconds: float) -> Connection:
        if self.pool.closed:
            raise unreachable("this gateway is stopping")
        answer_at = min(deadlines.total, deadlines.first_byte)
        connect_at = self._loop.time() + seconds
        try:
            async with asyncio.timeout_at(min(connect_at, answer_at)) as limit:
                connection = await self._connector.connect(origin)
        except OSError as error:
            if limit.expired():
                raise _late(by_connecting=connect_at <= answer_at) from None
            raise failures.of_connecting(error) from error
        self.connected += 1
        if not connection.open:
            connection.end()
            raise unreachable("it hung up before it was asked")
        return connection


def _drop(connecting: asyncio.Task[Connection]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().end()


def _readable(response: Response) -> UpstreamAnswer:
    coding = coding_of(response.headers)
    if not coding:
        return response
    try:
        return Inflated(response, coding)
    except UpstreamFailed:
        response.close()
        raise


def _deadlines(request: UpstreamRequest, now: float) -> Deadlines:
    first_byte, quiet = request.first_byte_timeout_seconds, request.idle_timeout_seconds
    return Deadlines(
        now + request.total_timeout_seconds,
        inf if first_byte is None else now + first_byte,
        inf if quiet is None else quiet,
    )


def _late(*, by_connecting: bool) -> UpstreamFailed:
    return unreachable("no connection in time") if by_connecting else late("no whole answer in time")
