"""A provider that answers at once, and shadows' providers that hang, fail, flood, or answer as well.

    python -m benchmarks.shadow.upstream PORT

The first part of the path says how: ``/answers/v1/chat/completions``.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

from benchmarks.gateway.workloads import whole_answer

MODES = ("answers", "hangs", "fails", "floods")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODE = re.compile(rb"POST /(\w+)/")
_FLOOD = b"x" * 65_536
_FLOOD_CHUNK = b"%x\r\n%b\r\n" % (len(_FLOOD), _FLOOD)


def _whole(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
        status,
        len(body),
    )
    return head + body


_ANSWER = _whole(b"200 OK", whole_answer())
_FAILURE = _whole(
    b"500 Internal Server Error", b'{"error":{"message":"no","type":"server_error","code":"x"}}'
)
_FLOOD_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection; its requests have a length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._flooding = False
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name for it
        self._transport = None

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._flooding:
            self._flood()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, end) if end >= 0 else None
        if length is None or len(self._received) < end + 4 + int(length[1]):
            return
        mode = _MODE.match(self._received)
        self._received.clear()
        self._answer("" if mode is None else mode[1].decode())

    def _answer(self, mode: str) -> None:
        if self._transport is None or mode == "hangs":
            return
        if mode == "floods":
            self._transport.write(_FLOOD_HEAD)
            self._flooding = True
            self._flood()
        else:
            self._transport.write(_FAILURE if mode == "fails" else _ANSWER)

    def _flood(self) -> None:
        """Write for as long as somebody reads."""
        while self._writable and self._transport is not None and not self._transport.is_closing():
            self._transport.write(_FLOOD_CHUNK)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
