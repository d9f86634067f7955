"""The official ``openai`` client as a caller of the gateway, unchanged but for its base URL."""

from __future__ import annotations

import asyncio
import contextlib

import openai
from openai.types.chat import ChatCompletionUserMessageParam

QUESTION: ChatCompletionUserMessageParam = {"role": "user", "content": "Where is my order?"}


class OfficialClient:
    """Asks now and then, streaming every other time, until told to stop. Failed answers count as answers."""

    def __init__(self, gateway_url: str, api_key: str, route: str) -> None:
        self._client = openai.AsyncOpenAI(base_url=f"{gateway_url}/v1", api_key=api_key, max_retries=0)
        self._route = route
        self._stopping = asyncio.Event()
        self.asked = 0

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopping.set()

    async def run(self, *, every_seconds: float = 0.1) -> None:
        """Ask until stopped."""
        async with self._client:
            while not self._stopping.is_set():
                # An error of the provider's, as the gateway passes it on, is an answer too.
                with contextlib.suppress(openai.APIStatusError):
                    await self._ask(f"official-{self.asked}", stream=self.asked % 2 == 1)
                self.asked += 1
                try:
                    await asyncio.wait_for(self._stopping.wait(), every_seconds)
                except TimeoutError:
                    continue

    async def _ask(self, user: str, *, stream: bool) -> None:
        if not stream:
            await self._client.chat.completions.create(model=self._route, messages=[QUESTION], user=user)
            return
        chunks = await self._client.chat.completions.create(
            model=self._route, messages=[QUESTION], user=user, stream=True
        )
        async for _ in chunks:
            pass
