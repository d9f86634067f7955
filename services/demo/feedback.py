"""Users who say what they thought of an answer: reports to the gateway, in batches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from services.demo.traffic import Answer
from services.domain.errors import HeadgateError

PATH = "/v1/outcomes"
BATCH = 200
EVERY_SECONDS = 0.25


@dataclass(slots=True)
class Reporting:
    """Some users report whether they are satisfied; ``satisfied`` says how many are, by variant."""

    gateway_url: str
    api_key: str
    satisfied: Mapping[str, float]
    rng: random.Random
    reporting: float = 0.6
    """The share of answers that somebody says something about."""
    sent: int = 0
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _stopping: bool = False

    def hear(self, answer: Answer) -> None:
        """Let the user of an answer think about it."""
        if answer.feedback_token and not answer.failed and self.rng.random() < self.reporting:
            value = self.rng.random() < self.satisfied[answer.variant]
            self._waiting.append({"token": answer.feedback_token, "name": "satisfaction", "value": value})

    def stop(self) -> None:
        """Send what is waiting, and nothing more."""
        self._stopping = True

    async def run(self) -> None:
        """Report until stopped. Raises HeadgateError where the gateway does not take it."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while self._waiting or not self._stopping:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                if batch:
                    await self._report(session, batch)
                else:
                    await asyncio.sleep(EVERY_SECONDS)

    async def _report(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]]) -> None:
        async with session.post(self.gateway_url + PATH, json={"feedback": batch}) as response:
            if response.status >= 300:
                raise HeadgateError(
                    f"the gateway took no feedback: {response.status} {await response.text()}"
                )
        self.sent += len(batch)
