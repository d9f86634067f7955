"""Each limit of time, and what passing it counts as."""

from __future__ import annotations

import asyncio
import socket

import pytest
from msgspec.structs import replace

from services.domain.status import OutcomeStatus as S
from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.proxies import Proxies
from tests.integration.gateway.transport.asking import ask, failure_of, request_to
from tests.integration.gateway.transport.hostile import OK
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import Script, Talk, serving


def silent_after(*pieces: bytes) -> Script:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(*pieces)
        await talk.until_left()

    return script


BEGUN = OK + b"content-length: 9\r\n\r\nhello"


@on_both_loops
@pytest.mark.parametrize(
    ("said", "limits", "reason"),
    [
        ((), {"total_timeout_seconds": 0.1}, "no whole answer in time"),
        ((BEGUN,), {"total_timeout_seconds": 0.1}, "no whole answer in time"),
        ((), {"first_byte_timeout_seconds": 0.1}, "no first byte in time"),
        ((OK,), {"first_byte_timeout_seconds": 0.1}, "no first byte in time"),
        ((OK + b"content-length: 9\r\n\r\n",), {"first_byte_timeout_seconds": 0.1}, "no first byte in time"),
        ((BEGUN,), {"idle_timeout_seconds": 0.1}, "fell silent for 0.1 s"),
        (
            (BEGUN,),
            {"idle_timeout_seconds": 0.1, "first_byte_timeout_seconds": 0.05},
            "fell silent for 0.1 s",
        ),
    ],
)
async def test_a_deadline(loop: str, said: tuple[bytes, ...], limits: dict[str, float], reason: str) -> None:
    async def scenario() -> None:
        async with serving(silent_after(*said)) as server:
            upstream = PooledUpstream(proxies=Proxies())
            failure = await failure_of(upstream, replace(request_to(server.url), **limits))
            assert failure.status is S.TIMEOUT
            assert reason in failure.reason
            while upstream.pool.open_connections:
                await asyncio.sleep(0)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_the_first_byte_may_take_longer_than_the_later_ones(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await asyncio.sleep(0.2)
        await talk.say(OK + b"content-length: 5\r\n\r\n", b"hello")

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            seen = await ask(upstream, replace(request_to(server.url), idle_timeout_seconds=0.1))
            assert seen.body == b"hello"
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_no_connection_in_time(loop: str) -> None:
    async def scenario() -> None:
        # A backlog that is full takes no further connection.
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
            first.connect(full.getsockname())
            upstream = PooledUpstream(proxies=Proxies())
            request = request_to("http://{}:{}/".format(*full.getsockname()))
            failure = await failure_of(upstream, replace(request, connect_timeout_seconds=0.2))
            assert (failure.status, failure.reason) == (S.CONNECTION_FAILED, "no connection in time")
            failure = await failure_of(upstream, replace(request, total_timeout_seconds=0.2))
            assert failure.status is S.TIMEOUT
            assert upstream.pool.open_connections == 0
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/", "refused"),
        ("http://nobody.invalid/", "host name is not known"),
        ("ftp://127.0.0.1/", "starts with http"),
        ("http://user:password@127.0.0.1/", "no credentials"),
        ("http://127.0.0.1:99999/", "cannot be asked"),
        ("nonsense", "starts with http"),
    ],
)
async def test_nobody_there(loop: str, url: str, reason: str) -> None:
    async def scenario() -> None:
        upstream = PooledUpstream(proxies=Proxies())
        failure = await failure_of(upstream, request_to(url))
        assert failure.status is S.CONNECTION_FAILED
        assert reason in failure.reason
        assert "password" not in failure.reason
        await upstream.close()

    await on(loop, scenario())
