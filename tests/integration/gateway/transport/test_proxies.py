"""Through a proxy: plain requests in absolute form, TLS through a tunnel."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest

from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.proxies import Proxies, Proxy
from tests.integration.gateway.transport.asking import Seen, ask, failure_of, request_to
from tests.integration.gateway.transport.hostile import WHOLE
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import Running, Script, Talk, serving
from tests.integration.gateway.transport.test_tls import server_context, trusting

__all__ = ["trusting"]

HELLO = Seen(200, b"hello")
BASIC = "Basic dXNlcjpwQHNz"


def through(proxy: Running, context: ssl.SSLContext | None = None) -> PooledUpstream:
    named = Proxy.parse(f"http://user:p%40ss@127.0.0.1:{proxy.port}")
    return PooledUpstream(proxies=Proxies(http=named, https=named), context=context)


async def answer_always(talk: Talk) -> None:
    while True:
        await talk.hear()
        await talk.say(WHOLE)


def tunnel_to(port: int) -> Script:
    """A proxy that leads everything to one port."""

    async def script(talk: Talk) -> None:
        talk.requests.append(await talk.reader.readuntil(b"\r\n\r\n"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await talk.say(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n")
            await asyncio.gather(pass_on(talk.reader, writer), pass_on(reader, talk.writer))
        finally:
            writer.transport.abort()

    return script


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@on_both_loops
async def test_a_plain_request_names_its_whole_url(loop: str) -> None:
    async def scenario() -> None:
        async with serving(answer_always) as proxy:
            upstream = through(proxy)
            for _ in range(2):
                assert await ask(upstream, request_to("http://upstream.test:81/v1/x?y=z")) == HELLO
            (talk,) = proxy.talks
            head = talk.requests[0].decode()
            assert head.startswith(
                "POST http://upstream.test:81/v1/x?y=z HTTP/1.1\r\nhost: upstream.test:81\r\n"
            )
            assert f"proxy-authorization: {BASIC}\r\n" in head
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_request_over_tls_goes_through_a_tunnel(loop: str, trusting: ssl.SSLContext) -> None:
    async def scenario() -> None:
        async with (
            serving(answer_always, server_context()) as server,
            serving(tunnel_to(server.port)) as proxy,
        ):
            upstream = through(proxy, trusting)
            for _ in range(3):
                assert await ask(upstream, request_to("https://upstream.test/v1/x")) == HELLO
            (asked,) = [request.decode() for talk in proxy.talks for request in talk.requests]
            assert asked.startswith("CONNECT upstream.test:443 HTTP/1.1\r\nhost: upstream.test:443\r\n")
            assert f"proxy-authorization: {BASIC}\r\n" in asked
            served = server.talks[0].requests[0]
            assert served.startswith(b"POST /v1/x HTTP/1.1\r\nhost: upstream.test\r\n")
            assert b"proxy-authorization" not in served
            failure = await failure_of(upstream, request_to("https://other.test/v1/x"))
            assert "certificate is not trusted" in failure.reason
            await upstream.close()
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "it answered 407"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "more than it was asked"),
        (b"x" * 20_000, "not HTTP"),
        (b"", "the proxy hung up"),
    ],
)
async def test_a_proxy_that_does_not_open_a_tunnel(loop: str, answer: bytes, reason: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.reader.readuntil(b"\r\n\r\n")
        talk.writer.write(answer)

    async def scenario() -> None:
        async with serving(script) as proxy:
            upstream = through(proxy)
            failure = await failure_of(upstream, request_to("https://upstream.test/"))
            assert reason in failure.reason
            assert upstream.pool.open_connections == 0
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_this_machine_is_reached_without(loop: str) -> None:
    async def scenario() -> None:
        async with serving(answer_always) as server, serving(answer_always) as proxy:
            upstream = through(proxy)
            assert await ask(upstream, request_to(server.url)) == HELLO
            assert (len(server.talks), len(proxy.talks)) == (1, 0)
            await upstream.close()

    await on(loop, scenario())
