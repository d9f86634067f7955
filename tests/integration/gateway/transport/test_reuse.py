"""Which connections carry another request."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.limits import Limits
from services.gateway.transport.proxies import Proxies
from tests.integration.gateway.transport.asking import Seen, ask, failure_of, request_to
from tests.integration.gateway.transport.hostile import OK, WHOLE
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import Talk, serving

HELLO = Seen(200, b"hello")


async def answer_always(talk: Talk) -> None:
    while True:
        await talk.hear()
        await talk.say(WHOLE)


async def close_after_each(talk: Talk) -> None:
    await talk.hear()
    await talk.say(WHOLE)


async def half_close_after_each(talk: Talk) -> None:
    await talk.hear()
    await talk.say(WHOLE)
    talk.writer.write_eof()
    await talk.until_left()


def own_transport(limits: Limits | None = None) -> PooledUpstream:
    return PooledUpstream(proxies=Proxies(), limits=limits)


@on_both_loops
async def test_one_caller_needs_one_connection(loop: str) -> None:
    async def scenario() -> None:
        async with serving(answer_always) as server:
            upstream = own_transport()
            assert [await ask(upstream, request_to(server.url)) for _ in range(20)] == [HELLO] * 20
            assert (len(server.talks), upstream.connected, upstream.pool.idle_connections) == (1, 1, 1)
            await upstream.close()
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())


@on_both_loops
@pytest.mark.parametrize("script", [close_after_each, half_close_after_each])
async def test_a_connection_that_is_being_closed_costs_a_retry_and_no_failure(
    loop: str, script: object
) -> None:
    async def scenario() -> None:
        async with serving(script) as server:  # type: ignore[arg-type]
            upstream = own_transport()
            assert [await ask(upstream, request_to(server.url)) for _ in range(20)] == [HELLO] * 20
            assert sum(len(talk.requests) for talk in server.talks) == 20, "none was served twice"
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_request_is_sent_again_only_once(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        if talk.number == 1:
            await talk.say(WHOLE)
            await talk.hear()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = own_transport()
            assert await ask(upstream, request_to(server.url)) == HELLO
            failure = await failure_of(upstream, request_to(server.url))
            assert "hung up" in failure.reason
            assert (len(server.talks), upstream.races_lost) == (2, 1)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_server_that_thought_before_it_hung_up_lost_no_race(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(WHOLE)
        await talk.hear()
        await asyncio.sleep(0.05)

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = own_transport(Limits(race_seconds=0.01))
            assert await ask(upstream, request_to(server.url)) == HELLO
            await failure_of(upstream, request_to(server.url))
            assert (len(server.talks), upstream.races_lost) == (1, 0)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_bytes_that_nobody_asked_for_end_the_connection(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(WHOLE)
        if talk.number == 1:
            await talk.say(WHOLE.replace(b"hello", b"worse"))
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = own_transport()
            assert await ask(upstream, request_to(server.url)) == HELLO
            while upstream.pool.open_connections:
                await asyncio.sleep(0)
            assert await ask(upstream, request_to(server.url)) == HELLO
            assert len(server.talks) == 2
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_a_connection_is_free_once_the_answer_is_whole_though_unread(loop: str) -> None:
    async def scenario() -> None:
        async with serving(answer_always) as server:
            upstream = own_transport()
            first = await upstream.open(request_to(server.url))
            assert await ask(upstream, request_to(server.url)) == HELLO
            assert await first.next_chunk() == b"hello"
            assert await first.next_chunk() == b""
            assert len(server.talks) == 1
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_idle_connections_are_bounded_in_number_and_time(loop: str) -> None:
    async def scenario() -> None:
        async with serving(answer_always) as server:
            upstream = own_transport(Limits(idle_connections=3, idle_seconds=0.05))
            await asyncio.gather(*[ask(upstream, request_to(server.url)) for _ in range(10)])
            assert upstream.pool.idle_connections == 3
            while upstream.pool.open_connections:
                await asyncio.sleep(0.01)
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_an_old_connection_is_not_used_again(loop: str) -> None:
    async def scenario() -> None:
        async with serving(answer_always) as server:
            upstream = own_transport(Limits(age_seconds=0.0))
            assert [await ask(upstream, request_to(server.url)) for _ in range(3)] == [HELLO] * 3
            assert len(server.talks) == 3
            await upstream.close()

    await on(loop, scenario())


@on_both_loops
async def test_closing_ends_answers_that_are_under_way(loop: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(OK + b"content-length: 9\r\n\r\nhello")
        await talk.until_left()

    async def scenario() -> None:
        async with serving(script) as server:
            upstream = own_transport()
            answer = await upstream.open(request_to(server.url))
            asking = asyncio.ensure_future(ask(upstream, request_to(server.url)))
            while len(server.talks) < 2:
                await asyncio.sleep(0)
            await upstream.close()
            assert (await asking).failed is not None
            assert await answer.next_chunk() == b"hello", "what came can still be read"
            assert (await ask(upstream, request_to(server.url))).failed is not None, "it stays closed"
            assert upstream.pool.open_connections == 0

    await on(loop, scenario())
