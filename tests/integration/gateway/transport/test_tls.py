"""TLS: whom the transport trusts, and what it says when it does not."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.domain.status import OutcomeStatus as S
from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.proxies import Proxies
from services.gateway.transport.tls import client_context
from tests.integration.gateway.transport.asking import Seen, ask, failure_of, request_to
from tests.integration.gateway.transport.hostile import OK, WHOLE
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import Talk, serving

CERTIFICATES = Path(__file__).parents[3] / "data" / "tls"
LARGE = 4 * 1024 * 1024


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
    return client_context()


@on_both_loops
async def test_a_trusted_server(loop: str, trusting: ssl.SSLContext) -> None:
    agreed: list[object] = []

    async def script(talk: Talk) -> None:
        agreed.append(talk.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        while True:
            await talk.hear()
            await talk.say(WHOLE)

    async def scenario() -> None:
        async with serving(script, server_context()) as server:
            upstream = PooledUpstream(proxies=Proxies(), context=trusting)
            url = server.url.replace("127.0.0.1", "localhost")
            for body in (b"{}", b"x" * LARGE, b"{}"):
                assert await ask(upstream, request_to(url, body)) == Seen(200, b"hello")
            assert agreed == ["http/1.1"]
            await upstream.close()
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())


@on_both_loops
async def test_a_server_for_another_name_or_of_another_authority(loop: str, trusting: ssl.SSLContext) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()

    async def scenario() -> None:
        async with serving(script, server_context()) as server:
            name = server.url.replace("127.0.0.1", "localhost")
            trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for url, context in ((server.url, trusting), (name, trusting_nobody)):
                upstream = PooledUpstream(proxies=Proxies(), context=context)
                failure = await failure_of(upstream, request_to(url))
                assert failure.status is S.CONNECTION_FAILED
                assert "certificate is not trusted" in failure.reason
                assert upstream.pool.open_connections == 0
                await upstream.close()

    await on(loop, scenario())


@on_both_loops
@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_without_tls(loop: str, trusting: ssl.SSLContext, said: bytes) -> None:
    async def script(talk: Talk) -> None:
        await talk.reader.read(10)
        await talk.say(said)

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies(), context=trusting)
            failure = await failure_of(upstream, request_to(server.url.replace("http", "https", 1)))
            assert failure.status is S.CONNECTION_FAILED
            await upstream.close()
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())


@on_both_loops
async def test_a_handshake_that_takes_too_long(loop: str, trusting: ssl.SSLContext) -> None:
    async def script(talk: Talk) -> None:
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies(), context=trusting)
            url = server.url.replace("http", "https", 1)
            failure = await failure_of(upstream, replace(request_to(url), connect_timeout_seconds=0.2))
            assert failure.reason == "no connection in time"
            await upstream.close()
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())


@on_both_loops
async def test_an_answer_cut_off_inside_tls(loop: str, trusting: ssl.SSLContext) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(OK + b"content-length: 9\r\n\r\nhello")
        talk.reset()

    async def scenario() -> None:
        async with serving(script, server_context()) as server:
            upstream = PooledUpstream(proxies=Proxies(), context=trusting)
            url = server.url.replace("127.0.0.1", "localhost")
            assert await ask(upstream, request_to(url)) == Seen(200, b"hello", S.CONNECTION_FAILED)
            await upstream.close()
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())
