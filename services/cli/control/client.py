"""A client of the control plane's api, for commands that ask one thing after the other."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from services.cli.control.refusals import ControlFailure, Refused, Unreachable, refusal

DEFAULT_URL = "http://127.0.0.1:8081"
TIMEOUT_SECONDS = 330.0
"""Health checks of a deployment may take five minutes, and are waited for."""
CONNECT_TIMEOUT_SECONDS = 10.0
LARGEST_PAGE = 1000

Query = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``etag`` is what ``If-Match`` takes, where the api gives one."""

    body: Any
    etag: str | None = None


def address(*parts: str) -> str:
    """Return the path of these parts under ``/v1``; a slash in a part, as in a route's key, is escaped."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


class Api:
    """A control plane at a URL. Raises ControlFailure wherever it does not do what it is asked.

    A context manager: the connection is kept from call to call, and closed at the end.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
        self._runner = asyncio.Runner()
        self._session: aiohttp.ClientSession | None = None

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    def get(self, path: str, query: Query | None = None) -> Answer:
        """Read one thing."""
        return self._call("GET", path, query=query)

    def find(self, path: str) -> Answer | None:
        """Read one thing that may not be there."""
        try:
            return self.get(path)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def items(self, path: str, query: Query | None = None, *, limit: int | None = None) -> Iterator[Any]:
        """Read a list to its end, page by page, or up to ``limit`` items."""
        left, cursor = limit, None
        while True:
            asked = {**(query or {}), "cursor": cursor}
            if left is not None:
                asked["limit"] = min(left, LARGEST_PAGE)
            page = self.get(path, asked).body
            found = page["items"][:left]
            yield from found
            left = None if left is None else left - len(found)
            cursor = page.get("next_cursor")
            if cursor is None or left == 0:
                return

    def post(self, path: str, body: Any = None, *, if_match: str | None = None) -> Answer:
        """Do something once: the api knows a repeat of the same call by its key."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), "If-Match": if_match}
        return self._call("POST", path, body=body, headers=headers)

    def put(self, path: str, body: Any = None, *, if_match: str | None = None) -> Answer:
        """Replace something."""
        return self._call("PUT", path, body=body, headers={"If-Match": if_match})

    def patch(self, path: str, body: Any, *, if_match: str | None = None) -> Answer:
        """Change some of something."""
        return self._call("PATCH", path, body=body, headers={"If-Match": if_match})

    def delete(self, path: str, *, if_match: str | None = None) -> Answer:
        """Remove something."""
        return self._call("DELETE", path, headers={"If-Match": if_match})

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        sent |= {name: value for name, value in (headers or {}).items() if value is not None}
        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}
        url = URL(self.url + path, encoded=True).update_query(asked)
        return self._runner.run(self._ask(method, url, sent, body))

    async def _ask(self, method: str, url: URL, headers: Mapping[str, str], body: Any) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=True)
        try:
            async with self._session.request(
                method, url, headers=headers, json=body, allow_redirects=False
            ) as response:
                return self._answer(response.status, response.headers.get("ETag"), await response.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    def _answer(self, status: int, etag: str | None, content: bytes) -> Answer:
        try:
            body = json.loads(content) if content else None
        except ValueError:
            raise refusal(status, None, self.url) from None
        if status >= 300:
            raise refusal(status, body, self.url)
        return Answer(body, etag)

    def _unreachable(self, error: Exception) -> ControlFailure:
        reason = "it took too long" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Unreachable(
            f"no answer from the control plane at {self.url}: {reason}; is `headgate api` running, and is "
            "HEADGATE_API_URL its address?"
        )
