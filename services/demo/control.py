"""A client of the control plane's api, as a team's script would be."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import aiohttp

from services.domain.errors import HeadgateError


class ApiRefused(HeadgateError):
    """The api answered with a problem; the message is its detail."""


class ApiNotFound(ApiRefused):
    """The api knows nothing under that name."""


class ControlApi:
    """Calls ``/v1/…`` with the admin key and returns the JSON."""

    def __init__(self, url: str, admin_key: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {admin_key}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """POST and return the answer; ApiRefused with the problem's detail otherwise."""
        return await self._call("POST", path, body if body is not None else {})

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """PUT and return the answer; ApiRefused with the problem's detail otherwise."""
        return await self._call("PUT", path, body)

    async def get(self, path: str) -> dict[str, Any]:
        """GET and return the answer; ApiRefused with the problem's detail otherwise."""
        return await self._call("GET", path, None)

    async def exists(self, path: str) -> bool:
        """Say whether there is something under ``path``."""
        try:
            await self.get(path)
        except ApiNotFound:
            return False
        return True

    async def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        if self._session is None:
            raise ApiRefused("the client is closed; use it in an `async with`")
        async with self._session.request(method, self.url + path, json=body) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            if response.status == 404:
                raise ApiNotFound(f"{method} {path}: {answer.get('detail', answer)}")
            if response.status >= 400:
                raise ApiRefused(f"{method} {path}: {answer.get('detail', answer)}")
            return answer


async def answers(url: str, *, within_seconds: float = 30.0) -> None:
    """Return once ``url`` answers 200; HeadgateError when it does not in time."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    last = "no answer"
    async with aiohttp.ClientSession() as session:
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
                    last = f"{response.status} {(await response.text())[:300]}"
            except aiohttp.ClientError as error:
                last = str(error)
            await asyncio.sleep(0.05)
    raise HeadgateError(f"{url} was not ready within {within_seconds:g} s: {last}")
