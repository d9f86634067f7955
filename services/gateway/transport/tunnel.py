"""A way through a proxy to a server that speaks TLS (CONNECT)."""

from __future__ import annotations

import asyncio
import re

from services.gateway.transport.failures import unreachable
from services.gateway.transport.limits import KIB
from services.gateway.transport.origins import Origin
from services.gateway.transport.proxies import Proxy

_ANSWER_LIMIT = 16 * KIB
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_END = b"\r\n\r\n"


async def open_tunnel(
    loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, origin: Origin, proxy: Proxy
) -> None:
    """Ask the proxy at the other end to lead on to the origin. Raises UpstreamFailed when it does not."""
    answer = _Answer(loop)
    transport.set_protocol(answer)
    transport.write(_request(origin, proxy))
    await answer.agreed


class _Answer(asyncio.Protocol):
    """Reads the proxy's answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.agreed: asyncio.Future[None] = loop.create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if _END in self._received or len(self._received) > _ANSWER_LIMIT:
            self._judge()

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("the proxy hung up" if exc is None else "the connection to the proxy broke")

    def _judge(self) -> None:
        status = _STATUS.match(self._received)
        if status is None:
            self._refuse("what the proxy answered is not HTTP")
        elif not status[1].startswith(b"2"):
            self._refuse(f"the proxy refused: it answered {status[1].decode()}")
        elif not self._received.endswith(_END):
            self._refuse("the proxy said more than it was asked")
        elif not self.agreed.done():
            self.agreed.set_result(None)

    def _refuse(self, reason: str) -> None:
        if not self.agreed.done():
            self.agreed.set_exception(unreachable(reason))


def _request(origin: Origin, proxy: Proxy) -> bytes:
    lines = [f"CONNECT {origin.authority} HTTP/1.1", f"host: {origin.authority}"]
    if proxy.authorization is not None:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
