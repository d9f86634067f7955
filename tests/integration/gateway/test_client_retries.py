"""The official client's own retries: what the provider says about them reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from services.demo.asgi import JSON, Headers, Receive, Scope, Send, read_body, send_whole
from services.demo.asgi_server import serve_until
from services.demo.provider_answers import error
from services.gateway.server import address_of, listen
from tests.integration.gateway.clients import client_of
from tests.integration.gateway.running import Installation, RunningGateway, endpoint, route, variant

GOOD = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[]}'


class FailingOnce:
    """A provider that fails the first time it is asked."""

    def __init__(self, status: int, headers: Headers) -> None:
        self.asked_at: list[float] = []
        self._status = status
        self._headers = headers

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive, None, 1 << 20)
        self.asked_at.append(asyncio.get_running_loop().time())
        if len(self.asked_at) == 1:
            body = error(self._status, "no", "No.")
            await send_whole(send, self._status, [JSON, *self._headers], body)
        else:
            await send_whole(send, 200, [JSON], GOOD)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    stop, bound = asyncio.Event(), listen("127.0.0.1", 0)
    task = asyncio.create_task(serve_until(app, bound, stop, grace_seconds=1))
    try:
        yield address_of(bound)
    finally:
        stop.set()
        await task


async def asked(
    installation: Installation, gateway: RunningGateway, provider: FailingOnce, kind: str
) -> None:
    """Ask once, by a client that may try twice."""
    async with serving(provider) as url, client_of(kind, gateway.url, max_retries=1) as client:
        await installation.publish(endpoint("only", url), route("support", variant("stable", "only")))
        await gateway.knows_routes(1)
        await client.ask(lambda c: c.chat.completions.create(model="support", messages=[]))


KINDS = ["OpenAI", "AsyncAzureOpenAI"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (500, [(b"retry-after-ms", b"1")]),
        (400, [(b"x-should-retry", b"true"), (b"retry-after-ms", b"1")]),
    ],
)
async def test_it_tries_again(
    installation: Installation, gateway: RunningGateway, status: int, headers: Headers, kind: str
) -> None:
    provider = FailingOnce(status, headers)
    await asked(installation, gateway, provider, kind)
    assert len(provider.asked_at) == 2
    assert [one.http_status for one in await installation.expect_outcomes(2)].count(status) == 1


async def test_it_waits_as_long_as_the_provider_asks_for(
    installation: Installation, gateway: RunningGateway
) -> None:
    provider = FailingOnce(429, [(b"retry-after", b"1.5")])
    await asked(installation, gateway, provider, "AsyncOpenAI")
    first, second = provider.asked_at
    assert second - first >= 1.5


@pytest.mark.parametrize("kind", KINDS)
async def test_it_does_not_try_again_where_the_provider_says_so(
    installation: Installation, gateway: RunningGateway, kind: str
) -> None:
    provider = FailingOnce(500, [(b"x-should-retry", b"false")])
    with pytest.raises(openai.InternalServerError):
        await asked(installation, gateway, provider, kind)
    assert len(provider.asked_at) == 1


@pytest.mark.parametrize(
    ("key", "model", "error_class"),
    [("unknown", "support", openai.AuthenticationError), (None, "other", openai.NotFoundError)],
)
async def test_what_the_gateway_refuses_is_the_right_exception(
    installation: Installation, gateway: RunningGateway, key: str | None, model: str, error_class: type
) -> None:
    await installation.publish(endpoint("only", "http://127.0.0.1:9"), route("support", variant("s", "only")))
    await gateway.knows_routes(1)
    for kind in ("OpenAI", "AzureOpenAI", "AsyncAzureOpenAI"):
        options = {} if key is None else {"default_headers": {"authorization": f"Bearer {key}"}}
        async with client_of(kind, gateway.url, **options) as client:
            with pytest.raises(error_class):
                await client.ask(lambda c: c.embeddings.create(model=model, input="x"))
