"""Connecting to one of several addresses: each gets a head start over the next (RFC 8305).

asyncio can do this, uvloop cannot. Sockets stay the loop's own on the way: uvloop closes a descriptor that
was handed to it without telling the object that held it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from services.gateway.transport.addresses import Address

_Attempt = asyncio.Task[asyncio.Transport]


class _Newborn(asyncio.Protocol):
    """Holds a transport's place for its real protocol. A server that speaks first is not one of ours."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        self._transport.abort()


async def dial(
    loop: asyncio.AbstractEventLoop, addresses: Sequence[Address], stagger_seconds: float
) -> asyncio.Transport:
    """Return an open transport. Raises OSError, the first one met, when no address takes a connection."""
    if len(addresses) == 1:
        return await _dial_one(loop, addresses[0])
    attempts: list[_Attempt] = []
    try:
        return await _first_of(loop, addresses, stagger_seconds, attempts)
    finally:
        await _drop(attempts)


async def _first_of(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[Address],
    stagger_seconds: float,
    attempts: list[_Attempt],
) -> asyncio.Transport:
    waiting = list(addresses)
    running: set[_Attempt] = set()
    errors: list[BaseException] = []
    while waiting or running:
        if waiting:
            attempt = loop.create_task(_dial_one(loop, waiting.pop(0)))
            attempts.append(attempt)
            running.add(attempt)
        done, running = await asyncio.wait(
            running, timeout=stagger_seconds if waiting else None, return_when=asyncio.FIRST_COMPLETED
        )
        for attempt in done:
            error = attempt.exception()
            if error is None:
                attempts.remove(attempt)
                return attempt.result()
            errors.append(error)
    raise errors[0] if errors else OSError("the host has no address")


async def _drop(attempts: list[_Attempt]) -> None:
    """End the attempts that came second, and whatever they still achieved."""
    for attempt in attempts:
        attempt.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, asyncio.Transport):
            result.abort()


async def _dial_one(loop: asyncio.AbstractEventLoop, address: Address) -> asyncio.Transport:
    transport, _ = await loop.create_connection(_Newborn, address.host, address.port)
    return transport
