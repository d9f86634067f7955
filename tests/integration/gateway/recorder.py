"""An upstream that records what it is asked, and answers what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.demo.asgi import Headers, Receive, Scope, Send, read_body, send_whole
from services.demo.asgi_server import serve_until
from services.gateway.server import address_of, listen


@dataclass
class Asked:
    """One request."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """The upstream."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: bytes = b"{}"
    answer_headers: Headers = field(default_factory=lambda: [(b"content-type", b"application/json")])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, None, 1 << 30)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append(Asked(scope["path"], scope["query_string"].decode(), headers, body))
        await send_whole(send, 200, list(self.answer_headers), self.answer)


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    """A recorder on a free port."""
    recorder, stop = Recorder(), asyncio.Event()
    bound = listen("127.0.0.1", 0)
    recorder.url = address_of(bound)
    task = asyncio.create_task(serve_until(recorder, bound, stop, grace_seconds=1))
    try:
        yield recorder
    finally:
        stop.set()
        await task
