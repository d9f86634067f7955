"""The same hostile servers, asked through aiohttp and through the gateway's own transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from benchmarks.aiohttp_upstream import AiohttpUpstream
from services.domain.status import OutcomeStatus as S
from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.proxies import Proxies
from services.gateway.upstream import Upstream
from tests.integration.gateway.transport.asking import Seen, ask, request_to
from tests.integration.gateway.transport.hostile import Hostile, every_hostile_server
from tests.integration.gateway.transport.loops import on, on_both_loops
from tests.integration.gateway.transport.servers import serving

HOSTILE = every_hostile_server()
HELLO = Seen(200, b"hello")
NOT_HTTP = Seen(failed=S.PROVIDER_ERROR)

DIFFERENCES: dict[str, tuple[list[Seen], str]] = {
    # Name: what we see, and why that is better than what aiohttp sees.
    "closes on the second request": ([HELLO] * 3, "the race is no failure: asked again on a new connection"),
    "resets on the second request": ([HELLO] * 3, "the race is no failure: asked again on a new connection"),
    "more than the answer": ([HELLO] * 2, "the answer was whole; only the connection is not used again"),
    "more after connection: close": ([HELLO] * 2, "the answer was whole, and nothing follows it"),
    "reset until close": ([Seen(200, b"hello", S.CONNECTION_FAILED)], "a reset is not a clean end"),
    "gzip that breaks off": (
        [Seen(200, b"", S.CONNECTION_FAILED)],
        "half a compressed body is not a whole one",
    ),
    "unknown compression": ([NOT_HTTP], "the caller would get bytes that nothing says how to read"),
    "upgrade": ([NOT_HTTP], "nobody asked for another protocol"),
    "upgrade to nothing": ([NOT_HTTP], "nobody asked for another protocol"),
    "folded header": ([NOT_HTTP], "obsolete since RFC 7230"),
    "blank before colon": ([NOT_HTTP], "RFC 9112, 5.1: readers that differ on it can be smuggled past"),
    "control byte in header": ([NOT_HTTP], "some headers are passed on to the caller"),
    "200 headers": ([HELLO], "the head is bounded as a whole: 64 KiB, 256 headers"),
    "10 KB header": ([HELLO], "the head is bounded as a whole: 64 KiB, 256 headers"),
    "10 KB reason": ([HELLO], "the head is bounded as a whole: 64 KiB, 256 headers"),
    "bad chunk size": ([Seen(200, b"hello", S.CONNECTION_FAILED)], "at once, not when the time is up"),
    "huge chunk size": ([Seen(200, b"", S.CONNECTION_FAILED)], "at once, not when the time is up"),
    "negative chunk size": ([Seen(200, b"", S.CONNECTION_FAILED)], "at once, not when the time is up"),
    "chunk longer than said": ([Seen(200, b"hel", S.CONNECTION_FAILED)], "at once, not when the time is up"),
    "endless 103": ([NOT_HTTP], "bounded like a head, before the time is up"),
    "endless chunk extension": ([Seen(200, b"", S.CONNECTION_FAILED)], "bounded, before the time is up"),
}


@on_both_loops
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_server(name: str, loop: str) -> None:
    oracle = await asyncio.to_thread(asyncio.run, asking(AiohttpUpstream, HOSTILE[name]))
    ours = await on(loop, asking(own_transport, HOSTILE[name]))
    if name in DIFFERENCES:
        expected, _ = DIFFERENCES[name]
        assert ours == expected
        assert oracle != expected, "no difference any more: take the row out"
    else:
        assert ours == oracle


def test_differences_are_of_servers_there_are() -> None:
    assert DIFFERENCES.keys() <= HOSTILE.keys()


async def asking(transport: Callable[[], Upstream], hostile: Hostile) -> list[Seen]:
    """Ask as often as the server wants, one after the other; nothing is left open."""
    async with serving(hostile.script) as server:
        upstream = transport()
        request = request_to(server.url, b"x" * hostile.body_bytes, seconds=hostile.seconds)
        try:
            seen = [await ask(upstream, request) for _ in range(hostile.asks)]
        finally:
            await upstream.close()
        if isinstance(upstream, PooledUpstream):
            assert upstream.pool.open_connections == 0
        return seen


def own_transport() -> PooledUpstream:
    return PooledUpstream(proxies=Proxies())
