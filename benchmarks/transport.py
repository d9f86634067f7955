"""What a request costs the client's process: aiohttp, and the gateway's own transport.

    .venv/bin/python -m benchmarks.transport [--rounds 5] [--json]

The server is another process. Processor time is the client process's alone, user and system. Each contender
is measured once per round, in turn; the figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from benchmarks.aiohttp_upstream import AiohttpUpstream
from services.gateway.transport.client import PooledUpstream
from services.gateway.transport.proxies import Proxies
from services.gateway.upstream import Ask, Upstream, UpstreamRequest

CALLERS = 32
EVENTS = 20
EVENT = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"water "}}]}\n\n'
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "headgate",
    "authorization": "Bearer sk-0123456789",
}
CONTENDERS: dict[str, Callable[[], Upstream]] = {
    "aiohttp": AiohttpUpstream,
    "own": lambda: PooledUpstream(proxies=Proxies()),
}


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request, and how many of them a round is."""

    path: str
    body: bytes
    requests: int


SMALL = b'{"model": "sim", "messages": [{"role": "user", "content": "Say something calm."}]}'
WORKS = {
    "whole": Work("/whole", SMALL, 16_000),
    "streaming": Work("/stream", SMALL, 3_000),
    "100 KB": Work("/echo", b"x" * 100_000, 3_000),
}


class _Server(asyncio.Protocol):
    """Answers by path: a small document, a stream of events written one by one, or as much as was sent."""

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n") + 4
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]) if end > 3 else 0
        if end > 3 and len(self._received) >= end + length:
            body = bytes(self._received[end:])
            self._received.clear()
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"post /stream"):
            self._transport.write(_head(b"text/event-stream", b"transfer-encoding: chunked"))
            self._send_event(EVENTS)
        else:
            answer = body if head.startswith(b"post /echo") else b"y" * 600
            length = b"content-length: %d" % len(answer)
            self._transport.write(_head(b"application/json", length) + answer)

    def _send_event(self, left: int) -> None:
        if left:
            self._transport.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
            asyncio.get_running_loop().call_later(0.001, self._send_event, left - 1)
        else:
            self._transport.write(b"0\r\n\r\n")


def _head(kind: bytes, framing: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: "
        + kind
        + b"\r\nx-request-id: req-0123456789\r\nopenai-processing-ms: 12\r\n"
        + framing
        + b"\r\n\r\n"
    )


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _measure(contender: str, work: Work, port: int) -> float:
    """Return microseconds of processor time per request."""
    upstream = CONTENDERS[contender]()
    ask = Ask(f"http://127.0.0.1:{port}{work.path}", HEADERS)

    async def caller(requests: int) -> None:
        for _ in range(requests):
            answer = await upstream.open(UpstreamRequest(ask, work.body, 5.0, 60.0))
            size = 0
            while chunk := await answer.next_chunk():
                size += len(chunk)
            if answer.status != 200 or not size:
                raise RuntimeError("the server did not answer")

    await asyncio.gather(*[caller(5) for _ in range(CALLERS)])
    before = time.process_time()
    await asyncio.gather(*[caller(work.requests // CALLERS) for _ in range(CALLERS)])
    spent = time.process_time() - before
    await upstream.close()
    return spent / (work.requests // CALLERS * CALLERS) * 1e6


def _rounds(port: int, rounds: int) -> dict[str, dict[str, float]]:
    spent: dict[str, dict[str, list[float]]] = {name: {one: [] for one in CONTENDERS} for name in WORKS}
    for _ in range(rounds):
        for name, work in WORKS.items():
            for contender in CONTENDERS:
                spent[name][contender].append(uvloop.run(_measure(contender, work, port)))
    return {
        name: {contender: round(statistics.median(values), 1) for contender, values in by.items()}
        for name, by in spent.items()
    }


def main() -> None:
    """Print the table, or with --json one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        uvloop.run(_serve())
        return
    command = [sys.executable, "-m", "benchmarks.transport", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - ourselves
        try:
            assert server.stdout is not None  # noqa: S101
            found = _rounds(int(server.stdout.readline()), chosen.rounds)
        finally:
            server.terminate()
    ratios = {name: round(by["aiohttp"] / by["own"], 2) for name, by in found.items()}
    if chosen.json:
        print(json.dumps({"cpu_us": found, "ratio_to_own": ratios}))
        return
    for name, by in found.items():
        print(f"{name:10} aiohttp {by['aiohttp']:7.1f} µs   own {by['own']:7.1f} µs   × {ratios[name]}")


if __name__ == "__main__":
    main()
