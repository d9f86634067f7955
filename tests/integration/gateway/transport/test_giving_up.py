"""Callers who hang up, and what is left of requests however they end."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.domain.status import OutcomeStatus as S
from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.connection import Connection
from services.gateway.transport.limits import Limits
from services.gateway.transport.proxies import Proxies
from services.gateway.transport.response import Response
from tests.integration.gateway.transport.asking import Seen, ask, request_to
from tests.integration.gateway.transport.hostile import CHUNKED, OK, WHOLE
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import Talk, serving

REQUESTS = 10_000
CALLERS = 50
HALF = OK + b"content-length: 9\r\n\r\nhello"


@on_both_loops
@pytest.mark.parametrize("said", [b"", OK, HALF, CHUNKED + b"5\r\nhello\r\n"])
async def test_a_caller_who_hangs_up_ends_the_connection(loop: str, said: bytes) -> None:
    async def scenario() -> None:
        left = asyncio.Event()

        async def script(talk: Talk) -> None:
            await talk.hear()
            await talk.say(said)
            heard.set()
            await talk.until_left()
            left.set()

        heard = asyncio.Event()
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            asking = asyncio.ensure_future(ask(upstream, request_to(server.url)))
            await heard.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await left.wait()
            while upstream.pool.open_connections:
                await asyncio.sleep(0)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_an_answer_that_is_closed_ends_the_connection(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(HALF)
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            answer = await upstream.open(request_to(server.url))
            answer.close()
            answer.close()
            while upstream.pool.open_connections:
                await asyncio.sleep(0)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_caller_who_hangs_up_as_the_connection_is_made_leaves_none(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = PooledUpstream(proxies=Proxies())
            asking = asyncio.ensure_future(ask(upstream, request_to(server.url)))
            while not upstream.connected:
                await asyncio.sleep(0)
            # It is made, and whoever waits for it has not been told yet.
            asking.cancel()
            await asyncio.wait([asking])
            async with asyncio.timeout(10):
                while upstream.pool.open_connections:
                    await asyncio.sleep(0.001)
            await upstream.close()

    await on(loop, scenario())


async def _mixed(talk: Talk) -> None:
    """Do what each request asks for."""
    while True:
        match (await talk.hear()).rpartition(b"\r\n\r\n")[2].strip():
            case b"whole":
                await talk.say(WHOLE)
            case b"chunked":
                await talk.say(CHUNKED, b"5\r\nhello\r\n", b"0\r\n\r\n")
            case b"hang":
                await talk.until_left()
            case b"stall":
                await talk.say(HALF)
                await talk.until_left()
            case b"garbage":
                await talk.say(b"garbage\r\n\r\n")
            case b"more":
                await talk.say(WHOLE + b"more")
            case b"half":
                await talk.say(HALF)
                return
            case b"reset":
                talk.reset()
                return
            case _:
                return


WISHES = ["whole"] * 20 + ["chunked"] * 20 + ["hang", "stall", "garbage", "more", "half", "reset", "close"]


@on_both_loops
async def test_nothing_is_left_of_ten_thousand_requests(loop: str) -> None:
    async def scenario() -> None:
        random, numbers = Random(7), itertools.count()
        async with serving(_mixed):
            before = _descriptors()
        async with serving(_mixed) as server:
            upstream = PooledUpstream(proxies=Proxies(), limits=Limits(idle_connections=20))

            async def one() -> Seen | None:
                wish = random.choice(WISHES)
                request = request_to(
                    server.url, wish.encode(), seconds=0.05 if wish in {"hang", "stall"} else 30
                )
                if random.random() > 0.1:
                    return await ask(upstream, request)
                asking = asyncio.ensure_future(ask(upstream, request))
                for _ in range(random.randrange(10)):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait([asking])
                return None

            async def caller(seen: list[Seen | None]) -> None:
                while next(numbers) < REQUESTS:
                    seen.append(await one())

            seen: list[Seen | None] = []
            await asyncio.gather(*[caller(seen) for _ in range(CALLERS)])
            assert len(seen) == REQUESTS
            assert {one.failed for one in seen if one} == {
                None,
                S.TIMEOUT,
                S.PROVIDER_ERROR,
                S.CONNECTION_FAILED,
            }
            while upstream.pool.open_connections > upstream.pool.idle_connections:
                await asyncio.sleep(0)
            assert upstream.pool.idle_connections <= 20
            assert _timers() <= upstream.pool.idle_connections + 1
            await upstream.close()
        assert (_alive(Response), _alive(Connection), _timers()) == (0, 0, 0)
        assert len(asyncio.all_tasks()) == 1
        async with asyncio.timeout(10):
            while _descriptors() > before:
                await asyncio.sleep(0.01)

    await on(loop, scenario())


def _alive(kind: type) -> int:
    gc.collect()
    return sum(type(one) is kind for one in gc.get_objects())


def _timers() -> int:
    """How many are set; uvloop does not say."""
    loop: Any = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in getattr(loop, "_scheduled", ()))


def _descriptors() -> int:
    listed = Path("/proc/self/fd")
    return len(os.listdir(listed)) if listed.exists() else 0  # noqa: PTH208 - only their number
