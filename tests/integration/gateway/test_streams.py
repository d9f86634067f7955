"""Streams as they pass: what is asked for and hidden, what keeps its bytes, and that nothing waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from services.demo.asgi import Receive, Scope, Send, read_body
from services.demo.asgi_server import serve_until
from services.domain.status import OutcomeStatus
from services.gateway.server import address_of, listen
from tests.integration.gateway.running import KEY, Installation, RunningGateway, endpoint, route, variant

FIRST = b'data: { "choices" : [ { "delta":{"content":"\\u00e9 \xc3\xa9"} } ],"usage":null }\n\n'
SECOND = b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}],"usage":null}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = FIRST + SECOND + USAGE + DONE


class Script:
    """A provider that sends the pieces it is given, each when it is given."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()

    def give(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.pieces.put_nowait(piece)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(json.loads(await read_body(receive, None, 1 << 20)))
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while piece := await self.pieces.get():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script, stop, bound = Script(), asyncio.Event(), listen("127.0.0.1", 0)
    script.url = address_of(bound)
    task = asyncio.create_task(serve_until(script, bound, stop, grace_seconds=1))
    yield script
    stop.set()
    await task


@asynccontextmanager
async def asking(
    installation: Installation, gateway: RunningGateway, script: Script, body: dict[str, Any], **changes: Any
) -> AsyncIterator[aiohttp.StreamReader]:
    await installation.publish(
        endpoint("only", f"{script.url}/v1", **changes), route("support", variant("stable", "only"))
    )
    await gateway.knows_routes(1)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post("/v1/chat/completions", json={"model": "support", "stream": True} | body) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        yield answer.content


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_usage_is_asked_for_counted_and_hidden(
    installation: Installation, gateway: RunningGateway, script: Script, size: int
) -> None:
    script.give(*(STREAM[at : at + size] for at in range(0, len(STREAM), size)), b"")
    async with asking(installation, gateway, script, {}) as content:
        assert await content.read() == STREAM.replace(USAGE, b"")
    assert script.asked[0]["stream_options"] == {"include_usage": True}
    outcome = await installation.outcome()
    assert (outcome.status, outcome.prompt_tokens, outcome.completion_tokens) == (OutcomeStatus.OK, 3, 2)


@pytest.mark.parametrize(
    ("options", "changes", "asked"),
    [
        ({"include_usage": True}, {}, {"include_usage": True}),
        ({"include_usage": False, "x": 1}, {"stream_usage": False}, {"include_usage": False, "x": 1}),
    ],
)
async def test_otherwise_every_byte_passes(
    installation: Installation,
    gateway: RunningGateway,
    script: Script,
    options: dict[str, Any],
    changes: dict[str, Any],
    asked: dict[str, Any],
) -> None:
    script.give(STREAM, b"")
    body = {"stream_options": options}
    async with asking(installation, gateway, script, body, **changes) as content:
        assert await content.read() == STREAM
    assert script.asked[0]["stream_options"] == asked
    assert (await installation.outcome()).completion_tokens == 2


async def test_every_event_arrives_before_the_next_is_sent(
    installation: Installation, gateway: RunningGateway, script: Script
) -> None:
    script.give(FIRST)
    async with asking(installation, gateway, script, {}) as content:
        assert await content.readexactly(len(FIRST)) == FIRST
        script.give(SECOND[:30], SECOND[30:])
        assert await content.readexactly(len(SECOND)) == SECOND
        script.give(USAGE[:40], USAGE[40:] + DONE)
        assert await content.readexactly(len(DONE)) == DONE
        script.give(b"")
        assert await content.read() == b""


@pytest.mark.parametrize("cut", [FIRST, FIRST + SECOND[:20], FIRST + SECOND[:-1]])
async def test_a_stream_that_ends_too_early_ends_in_an_error_event(
    installation: Installation, gateway: RunningGateway, script: Script, cut: bytes
) -> None:
    # Without its last line end, the last event is still whole to everybody but the client.
    whole = cut.endswith(b"}\n")
    script.give(cut, b"")
    async with asking(installation, gateway, script, {}) as content:
        passed = await content.read()
    if whole:
        assert passed == cut
    else:
        assert passed.startswith(FIRST + b"data: ")
        assert json.loads(passed[len(FIRST + b"data: ") :])["error"]["code"] == "stream_broken"
    status = (await installation.outcome()).status
    assert status is (OutcomeStatus.OK if whole else OutcomeStatus.STREAM_BROKEN)
