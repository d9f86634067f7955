"""The smallest pooled HTTP/1.1 client on ``asyncio.Protocol`` and httptools."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools

from services.embedded.ports import LOOPBACK


class HttptoolsClient:
    """Connections to one upstream, taken from a list and put back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []
        self._head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {LOOPBACK}:{port}\r\n"
            "content-type: application/json\r\nauthorization: Bearer sk-static\r\ncontent-length: "
        ).encode()

    async def post(self, body: bytes) -> _Connection:
        """Send a request and return when the answer's head is there."""
        connection = self._idle.pop() if self._idle else await self._connect()
        await connection.ask(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        return connection

    def close(self) -> None:
        """Close the connections that are idle."""
        for connection in self._idle:
            connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self._idle), LOOPBACK, self._port)
        return connection


class _Connection(asyncio.Protocol):
    """A connection, and the answer that is coming in on it."""

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: list[bytes] = []
        self._head_is_there = False
        self._is_whole = False
        self.status = 0
        self.length: int | None = None

    async def ask(self, request: bytes) -> None:
        self._head_is_there = self._is_whole = False
        self.length = None
        assert self._transport is not None  # noqa: S101 - it is connected
        self._transport.write(request)
        while not self._head_is_there:
            await self._more()

    async def whole(self) -> bytes:
        while not self._is_whole:
            await self._more()
        body = self._take()
        self._idle.append(self)
        return body

    async def next_chunk(self) -> bytes:
        while not self._chunks and not self._is_whole:
            await self._more()
        chunk = self._take()
        if not chunk:
            self._idle.append(self)
        return chunk

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _take(self) -> bytes:
        taken = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        return taken

    async def _more(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self.length = int(value)

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._head_is_there = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        self._is_whole = True
