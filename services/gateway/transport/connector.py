"""From an origin to a connection that is ready for a request."""

from __future__ import annotations

import asyncio
import ssl

from services.gateway.transport.addresses import Addresses
from services.gateway.transport.connection import Connection
from services.gateway.transport.dialling import dial
from services.gateway.transport.limits import Limits
from services.gateway.transport.origins import Origin
from services.gateway.transport.pool import Pool
from services.gateway.transport.proxies import Proxies
from services.gateway.transport.tunnel import open_tunnel


class Connector:
    """Makes the pool's connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: Pool,
        proxies: Proxies,
        context: ssl.SSLContext,
        limits: Limits,
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._proxies = proxies
        self._context = context
        self._addresses = Addresses(loop, limits.addresses_seconds)
        self._stagger_seconds = limits.stagger_seconds

    async def connect(self, origin: Origin) -> Connection:
        """Return a new connection. Raises OSError and UpstreamFailed."""
        proxy = self._proxies.for_origin(origin)
        near = origin if proxy is None else proxy
        addresses = await self._addresses.find(near.host, near.port)
        transport = await dial(self._loop, addresses, self._stagger_seconds)
        try:
            if proxy is not None and origin.tls:
                await open_tunnel(self._loop, transport, origin, proxy)
            return await self._adopt(transport, origin)
        except BaseException:
            transport.abort()
            raise

    def close(self) -> None:
        """Give up looking for addresses."""
        self._addresses.close()

    async def _adopt(self, transport: asyncio.Transport, origin: Origin) -> Connection:
        connection = self._pool.new(origin)
        try:
            if origin.tls:
                ready = await self._encrypt(transport, connection)
            else:
                transport.set_protocol(connection)
                ready = transport
        except BaseException:
            connection.end()
            self._pool.lost(connection)
            raise
        connection.connection_made(ready)
        return connection

    async def _encrypt(self, transport: asyncio.Transport, connection: Connection) -> asyncio.Transport:
        encrypted = await self._loop.start_tls(
            transport, connection, self._context, server_hostname=connection.origin.host
        )
        if encrypted is None:
            raise ConnectionResetError("the connection was closed during the handshake")
        return encrypted
