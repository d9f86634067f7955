"""The static upstream behind every contender: fixed bytes, as cheaply as Python gives them.

    python -m benchmarks.gateway.upstream PORT

A streamed answer's events leave one at a time, ``PACE_SECONDS`` apart, as tokens do. Written all at once they
would reach a gateway as a single read, and nobody's cost per event would be measured. The upstream's own CPU
is not counted.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

from benchmarks.gateway.workloads import answer_events, whole_answer

PACE_SECONDS = 0.002

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": *true')
_LAST_CHUNK = b"\r\n0\r\n\r\n"

_BODY = whole_answer()
_WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: static\r\n"
    b"content-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: static\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_EVENTS = [b"%x\r\n%b\r\n" % (len(event), event) for event in answer_events()]
_PIECES = [_STREAM_HEAD + _EVENTS[0], *_EVENTS[1:-1], _EVENTS[-1] + b"0\r\n\r\n"]


class StaticProtocol(asyncio.Protocol):
    """One connection: reads a request to its end, whatever it asks, and answers."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._wanted: int | None = None
        self._piece = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name for it
        self._transport = None

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if self._wanted is None:
            self._wanted = self._size(received)
        if self._wanted is None:
            return
        if self._wanted > 0 and len(received) < self._wanted:
            return
        if self._wanted == 0 and not received.endswith(_LAST_CHUNK):
            return
        streams = _STREAM.search(received) is not None
        received.clear()
        self._wanted = None
        self._answer(streams=streams)

    def _size(self, received: bytearray) -> int | None:
        """Return the request's size, 0 for one that is chunked, None before its head is whole."""
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(received, 0, end)
        if length is None:
            return 0 if _CHUNKED.search(received, 0, end) else end + 4
        return end + 4 + int(length[1])

    def _answer(self, *, streams: bool) -> None:
        if streams:
            self._piece = 0
            self._loop.call_later(PACE_SECONDS, self._next_event)
        elif self._transport is not None:
            self._transport.write(_WHOLE)

    def _next_event(self) -> None:
        if self._transport is None:
            return
        self._transport.write(_PIECES[self._piece])
        self._piece += 1
        if self._piece < len(_PIECES):
            self._loop.call_later(PACE_SECONDS, self._next_event)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(StaticProtocol, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
