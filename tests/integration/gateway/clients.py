"""The official clients in all their forms, asked in one way whether they are synchronous or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai

from tests.integration.gateway.running import KEY

API_VERSION = "2024-10-21"

KINDS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "OpenAI": lambda url, options: openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, **options),
    "AsyncOpenAI": lambda url, options: openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, **options),
    "OpenAI on Azure v1": lambda url, options: openai.OpenAI(
        base_url=f"{url}/openai/v1", api_key=KEY, **options
    ),
    "AzureOpenAI": lambda url, options: openai.AzureOpenAI(
        azure_endpoint=url, api_version=API_VERSION, api_key=KEY, **options
    ),
    "AsyncAzureOpenAI": lambda url, options: openai.AsyncAzureOpenAI(
        azure_endpoint=url, api_version=API_VERSION, api_key=KEY, **options
    ),
    "AzureOpenAI with a deployment": lambda url, options: openai.AzureOpenAI(
        azure_endpoint=url, azure_deployment="support", api_version=API_VERSION, api_key=KEY, **options
    ),
    "AsyncAzureOpenAI with a token": lambda url, options: openai.AsyncAzureOpenAI(
        azure_endpoint=url, api_version=API_VERSION, azure_ad_token=KEY, **options
    ),
}


class Client:
    """An official client. Each method takes what to ask as a function of it."""

    def __init__(self, official: Any) -> None:
        self.official = official
        self._asynchronous = isinstance(official, openai.AsyncOpenAI)

    async def ask(self, what: Callable[[Any], Any]) -> Any:
        """Return the answer."""
        if self._asynchronous:
            return await what(self.official)
        return await asyncio.to_thread(what, self.official)

    async def stream(self, what: Callable[[Any], Any]) -> list[Any]:
        """Return all chunks of a stream."""
        if self._asynchronous:
            return [chunk async for chunk in await what(self.official)]
        return await asyncio.to_thread(lambda: list(what(self.official)))

    async def helped(self, what: Callable[[Any], Any], final: str) -> tuple[list[Any], Any]:
        """Return the events of the client's streaming helper, and what its method ``final`` returns."""
        if self._asynchronous:
            async with what(self.official) as stream:
                return [event async for event in stream], await getattr(stream, final)()

        def run() -> tuple[list[Any], Any]:
            with what(self.official) as stream:
                return list(stream), getattr(stream, final)()

        return await asyncio.to_thread(run)

    async def pages(self, what: Callable[[Any], Any]) -> list[Any]:
        """Return everything on the pages of a list."""
        if self._asynchronous:
            return [item async for item in what(self.official)]
        return await asyncio.to_thread(lambda: list(what(self.official)))


@asynccontextmanager
async def client_of(kind: str, url: str, **options: Any) -> AsyncIterator[Client]:
    """A client of the kind, without retries of its own unless they are asked for."""
    official = KINDS[kind](url, {"max_retries": 0} | options)
    try:
        yield Client(official)
    finally:
        closed = official.close()
        if closed is not None:
            await closed
