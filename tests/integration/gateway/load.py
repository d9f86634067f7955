"""Requests to a gateway, steadily, until told to stop."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.integration.gateway.running import KEY

PAUSE_SECONDS = 0.01


@dataclass
class Load:
    """What was asked and what came back."""

    request_ids: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def answered(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted = len(self.request_ids) + count
        while len(self.request_ids) < wanted:
            await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def steady_load(url: str, model: str, *, callers: int = 8) -> AsyncIterator[Load]:
    """Keep asking; every caller waits for its answer and a little more."""
    load, stop, numbers = Load(), asyncio.Event(), itertools.count()

    async def call(session: aiohttp.ClientSession) -> None:
        body = {"model": model, "messages": [], "user": f"user-{next(numbers)}"}
        try:
            async with session.post("/v1/chat/completions", json=body) as answer:
                if answer.status != 200:
                    load.failures.append(await answer.text())
                    return
                await answer.read()
                load.request_ids.append(answer.headers["x-headgate-request-id"])
        except aiohttp.ClientError as error:
            load.failures.append(repr(error))

    async def caller(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            await call(session)
            await asyncio.sleep(PAUSE_SECONDS)

    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {KEY}"}) as session:
        tasks = [asyncio.create_task(caller(session)) for _ in range(callers)]
        try:
            yield load
        finally:
            stop.set()
            await asyncio.gather(*tasks)
