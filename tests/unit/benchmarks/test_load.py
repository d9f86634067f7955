"""The load, the static upstream and the bare client: what is sent, and which answers are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from benchmarks.gateway.bare_client import HttptoolsClient
from benchmarks.gateway.load import BadAnswer, Load, Target
from benchmarks.gateway.upstream import StaticProtocol
from benchmarks.gateway.workloads import (
    BODY_100KB,
    EVENTS,
    NON_STREAMING,
    STREAMING,
    WORKLOADS,
    Workload,
    answer_events,
    whole_answer,
)

PATH = "/v1/chat/completions"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The static upstream's port."""
    server = await asyncio.get_running_loop().create_server(StaticProtocol, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_sizes_are_as_documented() -> None:
    assert 900 < len(NON_STREAMING.body("static")) < 1_100
    assert 99_000 < len(BODY_100KB.body("static")) < 105_000
    assert 900 < len(whole_answer()) < 1_100
    assert len(answer_events()) == EVENTS
    assert all(event.startswith(b"data: ") and event.endswith(b"\n\n") for event in answer_events())


def test_units_and_models_take_turns() -> None:
    requests = Target(1, PATH, ("one", "two"), (("authorization", "Bearer k"),)).requests(NON_STREAMING, 3)
    assert len(set(requests)) == 3
    assert [b'"model":"two"' in request for request in requests] == [False, True, False]
    assert all(b"authorization: Bearer k\r\n" in request for request in requests)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
async def test_every_request_is_answered(port: int, workload: Workload) -> None:
    target = Target(port, PATH, ("static",))
    async with Load(target, workload, target.requests(workload, 5), connections=4) as load:
        assert (await load.run(requests=20)).requests == 20
        assert (await load.run(requests=7)).requests == 7


async def test_a_wrong_answer_fails_the_run(port: int) -> None:
    target = Target(port, PATH, ("static",))
    whole_instead_of_streamed = target.requests(NON_STREAMING, 1)
    async with Load(target, STREAMING, whole_instead_of_streamed, connections=2) as load:
        with pytest.raises(BadAnswer, match="without all of its 50 events"):
            await load.run(requests=20)


async def test_a_lost_connection_fails_the_run() -> None:
    class Leaver(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = transport

        def data_received(self, _data: bytes) -> None:
            self._transport.close()

    server = await asyncio.get_running_loop().create_server(Leaver, "127.0.0.1", 0)
    target = Target(server.sockets[0].getsockname()[1], PATH, ("static",))
    async with server, Load(target, NON_STREAMING, target.requests(NON_STREAMING, 1), connections=2) as load:
        with pytest.raises(BadAnswer, match="connection was lost"):
            await load.run(requests=20)


async def test_the_bare_client(port: int) -> None:
    client = HttptoolsClient(port)
    for _ in range(3):
        answer = await client.post(NON_STREAMING.body("static"))
        assert (answer.status, answer.length) == (200, len(whole_answer()))
        assert await answer.whole() == whole_answer()
        streamed = await client.post(STREAMING.body("static"))
        assert streamed.length is None
        chunks = []
        while chunk := await streamed.next_chunk():
            chunks.append(chunk)
        assert b"".join(chunks) == b"".join(answer_events())
    client.close()
