"""The least a Python gateway can do: an ASGI callable on uvicorn that relays, and nothing else.

    python -m benchmarks.gateway.bare PORT UPSTREAM_PORT httptools|aiohttp

No configuration, authentication, timeouts, limits, outcomes or error handling: the floor that a real gateway
is compared with, with either client.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import aiohttp
import uvicorn

from benchmarks.gateway.bare_client import HttptoolsClient
from services.embedded.ports import LOOPBACK

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Answer(Protocol):
    """An upstream's answer whose head is there."""

    @property
    def status(self) -> int: ...
    @property
    def length(self) -> int | None:
        """Its length; None where it is streamed."""

    async def whole(self) -> bytes: ...
    async def next_chunk(self) -> bytes:
        """Return what has arrived; empty at the end."""


class Client(Protocol):
    """Asks the upstream."""

    async def post(self, body: bytes) -> Answer: ...


class Relay:
    """The ASGI application."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        answer = await self._client.post(body)
        if answer.length is None:
            await _stream(answer, send)
        else:
            headers = [_JSON, (b"content-length", b"%d" % answer.length)]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": await answer.whole()})


_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream")


async def _stream(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": [_EVENTS]})
    while chunk := await answer.next_chunk():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class AiohttpClient:
    """The same on aiohttp's session."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{LOOPBACK}:{port}/v1/chat/completions"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"content-type": "application/json", "authorization": "Bearer sk-static"},
        )

    async def post(self, body: bytes) -> Answer:
        """Send a request and return when the answer's head is there."""
        return _AiohttpAnswer(await self._session.post(self._url, data=body))


class _AiohttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.length = response.content_length
        self.whole = response.read
        self.next_chunk = response.content.readany


async def _serve(port: int, upstream_port: int, client: str) -> None:
    app = Relay(HttptoolsClient(upstream_port) if client == "httptools" else AiohttpClient(upstream_port))
    config = uvicorn.Config(
        app,
        host=LOOPBACK,
        port=port,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
