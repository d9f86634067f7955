"""Addresses, and connecting to the first of them that takes it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from services.gateway.transport.addresses import Address, Addresses
from services.gateway.transport.dialling import dial

V4, V6 = "192.0.2.1", "2001:db8::1"


class Resolver:
    """A loop whose look-ups are counted and wait to be let go."""

    def __init__(self, *found: tuple[int, str]) -> None:
        self.found = found
        self.asked = 0
        self.now = 0.0
        self.answer = asyncio.Event()
        self.create_task = asyncio.get_running_loop().create_task

    def time(self) -> float:
        return self.now

    async def getaddrinfo(self, host: str, port: int, *, type: int) -> list[Any]:  # noqa: A002, ARG002
        self.asked += 1
        await self.answer.wait()
        if not self.found:
            raise socket.gaierror
        return [(family, type, 6, "", (address, port)) for family, address in self.found]


def addresses_of(resolver: Any) -> Addresses:
    return Addresses(resolver, seconds=30)


async def test_those_who_ask_at_once_share_a_look_up_that_is_remembered() -> None:
    resolver = Resolver((socket.AF_INET6, V6), (socket.AF_INET6, V6 + "2"), (socket.AF_INET, V4))
    addresses = addresses_of(resolver)
    asking = [asyncio.create_task(addresses.find("a.test", 80)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    resolver.answer.set()
    answers = await asyncio.gather(*asking[1:])
    assert answers == [[Address(V6, 80), Address(V4, 80), Address(V6 + "2", 80)]] * 4
    resolver.now = 29
    await addresses.find("a.test", 80)
    assert resolver.asked == 1
    resolver.now = 30
    await addresses.find("a.test", 80)
    assert resolver.asked == 2


async def test_a_failure_is_not_remembered() -> None:
    resolver = Resolver()
    resolver.answer.set()
    addresses = addresses_of(resolver)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await addresses.find("a.test", 80)
    assert resolver.asked == 2


@pytest.mark.parametrize("number", [V4, V6])
async def test_a_number_is_not_looked_up(number: str) -> None:
    resolver = Resolver()
    assert await addresses_of(resolver).find(number, 80) == [Address(number, 80)]
    assert resolver.asked == 0


class Network:
    """A loop on which each address connects after its own time, or not at all."""

    def __init__(self, **seconds: float | None) -> None:
        self.seconds = seconds
        self.transports: dict[str, Transport] = {}
        self.create_task = asyncio.get_running_loop().create_task

    async def create_connection(self, _: object, host: str, __: int) -> tuple[asyncio.Transport, None]:
        seconds = self.seconds[host]
        if seconds is None:
            raise ConnectionRefusedError(host)
        await asyncio.sleep(seconds)
        self.transports[host] = Transport()
        return self.transports[host], None


class Transport(asyncio.Transport):
    aborted = False

    def abort(self) -> None:
        self.aborted = True


async def dialled(network: Any, stagger_seconds: float) -> asyncio.Transport:
    return await dial(network, [Address(host, 80) for host in network.seconds], stagger_seconds)


async def test_the_first_address_is_taken_when_it_is_quick() -> None:
    network = Network(a=0, b=0)
    assert await dialled(network, 5) is network.transports["a"]
    assert "b" not in network.transports


async def test_a_refusal_makes_way_at_once() -> None:
    network = Network(a=None, b=0)
    assert await dialled(network, 3600) is network.transports["b"]


async def test_a_slow_one_makes_way_after_its_head_start() -> None:
    network = Network(a=3600, b=0)
    assert await dialled(network, 0.01) is network.transports["b"]


async def test_the_first_error_is_told_when_all_refuse() -> None:
    with pytest.raises(ConnectionRefusedError, match="a"):
        await dialled(Network(a=None, b=None), 0.01)
    with pytest.raises(OSError, match="no address"):
        await dialled(Network(), 0.01)


async def test_who_comes_second_is_closed() -> None:
    network = Network(a=0.03, b=0.03)
    winner = await dialled(network, 0.0)
    assert [one.aborted for one in network.transports.values() if one is not winner] in ([], [True])
