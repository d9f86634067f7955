"""Backpressure in both directions, and answers that come before the request has been sent."""

from __future__ import annotations

import asyncio
import gzip

from services.domain.status import OutcomeStatus as S
from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.limits import Limits
from services.gateway.transport.proxies import Proxies
from tests.integration.gateway.transport.asking import Seen, ask, request_to
from tests.integration.gateway.transport.hostile import CHUNKED, OK, WHOLE
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import Talk, serving

MIB = 1024 * 1024
LARGE = 24 * MIB


@on_both_loops
async def test_a_server_is_not_read_faster_than_its_answer(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(OK + b"content-length: %d\r\n\r\n" % LARGE)
        for _ in range(LARGE // MIB):
            await talk.say(b"x" * MIB)
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies(), limits=Limits(unread_bytes=100_000))
            answer = await upstream.open(request_to(server.url))
            largest = size = 0
            while chunk := await answer.next_chunk():
                largest, size = max(largest, len(chunk)), size + len(chunk)
                for _ in range(5):
                    await asyncio.sleep(0)
            assert size == LARGE
            assert largest < 100_000 + 512 * 1024, "at most one more read than the limit"
            assert await ask(upstream, request_to(server.url, seconds=0.1)) == Seen(failed=S.TIMEOUT)
            assert len(server.talks) == 1, "the connection was used again"
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_large_request_arrives_whole(loop: str) -> None:
    body = bytes(range(256)) * (LARGE // 256)

    async def script(talk: Talk) -> None:
        while True:
            assert (await talk.hear()).endswith(b"\r\n\r\n" + body)
            await talk.say(WHOLE)

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            for _ in range(2):
                assert await ask(upstream, request_to(server.url, body, seconds=60)) == Seen(200, b"hello")
            assert len(server.talks) == 1
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_an_early_answer_is_delivered_and_ends_the_connection(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.reader.readuntil(b"\r\n\r\n")
        await talk.say(WHOLE.replace(b"200 OK", b"413 Too Large"))
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            assert await ask(upstream, request_to(server.url, b"x" * LARGE)) == Seen(413, b"hello")
            while upstream.pool.open_connections:
                await asyncio.sleep(0)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_compressed_answer_is_read_in_bounded_pieces(loop: str) -> None:
    bomb = gzip.compress(b"0" * LARGE)

    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: GZIP\r\n\r\n"))
        for i in range(0, len(bomb), 1000):
            piece = bomb[i : i + 1000]
            await talk.say(b"%x\r\n%s\r\n" % (len(piece), piece))
        await talk.say(b"0\r\n\r\n")
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            answer = await upstream.open(request_to(server.url))
            size = 0
            while chunk := await answer.next_chunk():
                assert len(chunk) <= MIB
                size += len(chunk)
            assert size == LARGE
            await upstream.close()

    await on(loop, scenario())
