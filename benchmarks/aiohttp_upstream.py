"""The upstream on aiohttp's client: what the gateway's own transport is measured and tested against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO

import aiohttp
from yarl import URL

from services.domain.status import OutcomeStatus
from services.gateway.upstream import UpstreamAnswer, UpstreamFailed, UpstreamRequest

KEEP_ALIVE_SECONDS = 20.0
LARGE_BYTES = 1024 * 1024
_SKIPPED = frozenset({"Accept", "Accept-Encoding", "User-Agent"})

_as_url = lru_cache(maxsize=4096)(URL)
_as_timeout = lru_cache(maxsize=4096)(
    lambda connect, total: aiohttp.ClientTimeout(total=total, sock_connect=connect)
)


class AiohttpUpstream:
    """One session without limits of its own, cookies or redirects."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
        )

    async def open(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send the request and return when the answer's head is there."""
        try:
            response = await self._session.post(
                _as_url(request.ask.url),
                data=_payload(request.body),
                headers=request.ask.headers,
                timeout=_as_timeout(request.connect_timeout_seconds, request.total_timeout_seconds),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error) from error
        return _Answer(response)

    async def close(self) -> None:
        """Close the pool."""
        await self._session.close()


def _payload(body: bytes) -> bytes | BytesIO:
    # Large bodies are written in pieces, so that other requests are served in between.
    return body if len(body) < LARGE_BYTES else BytesIO(body)


class _Answer:
    __slots__ = ("_response", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        return self._response.raw_headers

    @property
    def ended(self) -> bool:
        return self._response.content.at_eof()

    async def next_chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from error

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        while piece := await self.next_chunk():
            if not take(piece):
                return True
        return False

    def close(self) -> None:
        self._response.close()


def _failure(error: Exception) -> UpstreamFailed:
    return UpstreamFailed(*_meaning(error))


def _meaning(error: Exception) -> tuple[OutcomeStatus, str]:  # noqa: PLR0911 - a table of cases
    match error:
        case aiohttp.ConnectionTimeoutError():
            return OutcomeStatus.CONNECTION_FAILED, "no connection in time"
        case TimeoutError():
            return OutcomeStatus.TIMEOUT, "no whole answer in time"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError() | aiohttp.ClientPayloadError():
            return OutcomeStatus.CONNECTION_FAILED, "it hung up before the answer was whole"
        case aiohttp.ClientResponseError():
            return OutcomeStatus.PROVIDER_ERROR, "what it answered is not HTTP"
        case aiohttp.InvalidURL() | ValueError():
            return OutcomeStatus.CONNECTION_FAILED, "its base URL is not one"
        case aiohttp.ClientConnectorDNSError():
            return OutcomeStatus.CONNECTION_FAILED, "its host name is not known"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return OutcomeStatus.CONNECTION_FAILED, "TLS failed: its certificate is not trusted"
        case _:
            return OutcomeStatus.CONNECTION_FAILED, "it could not be reached"
