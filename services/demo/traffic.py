"""Traffic: a generator that asks at a steady rate whatever the answers do, and remembers each.

Only where nearly everything is left unanswered for long does it ask less, instead of burying a slow machine.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client saw of one request. Times are seconds of the monotonic clock."""

    sent_at: float
    finished_at: float
    unit: str
    status: int
    variant: str
    allocation: int
    feedback_token: str = ""

    @property
    def failed(self) -> bool:
        """Whether the client was left without an answer."""
        return self.status >= 400


@dataclass(slots=True)
class Traffic:
    """Requests to one route of a gateway at ``requests_per_second``, until ``stop`` is called.

    ``units`` yields the unit of each request. What falls due while ``most_under_way`` are not answered yet is
    never sent.
    """

    gateway_url: str
    api_key: str
    route: str
    requests_per_second: float
    units: Iterator[str]
    answers: list[Answer] = field(default_factory=list)
    unanswered: int = 0
    on_answer: Callable[[Answer], None] | None = None
    most_under_way: int = 1_000
    _under_way: int = 0
    _stopping: bool = False

    def stop(self) -> None:
        """Send nothing more; ``run`` returns when what is under way is answered."""
        self._stopping = True

    async def run(self, *, at_most_seconds: float) -> None:
        """Send until stopped, for ``at_most_seconds`` at the most."""
        timeout = aiohttp.ClientTimeout(total=30)
        connector = aiohttp.TCPConnector(limit=256)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as requests,
        ):
            start = time.monotonic()
            sent = 0
            while not self._stopping and (now := time.monotonic()) < start + at_most_seconds:
                due = int((now - start) * self.requests_per_second) + 1
                for _ in range(min(due - sent, self.most_under_way - self._under_way)):
                    self._under_way += 1
                    requests.create_task(self._ask(session, next(self.units)))
                sent = max(sent, due)
                await asyncio.sleep(max(0.0, start + sent / self.requests_per_second - time.monotonic()))

    async def _ask(self, session: aiohttp.ClientSession, unit: str) -> None:
        body = {"model": self.route, "messages": [{"role": "user", "content": "How do I reset my password?"}]}
        headers = {"Authorization": f"Bearer {self.api_key}", "x-headgate-unit": unit}
        sent_at = time.monotonic()
        url = f"{self.gateway_url}/v1/chat/completions"
        try:
            async with session.post(url, json=body, headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            self.unanswered += 1
            return
        finally:
            self._under_way -= 1
        answer = Answer(
            sent_at=sent_at,
            finished_at=time.monotonic(),
            unit=unit,
            status=response.status,
            variant=response.headers.get("x-headgate-variant", ""),
            allocation=int(response.headers.get("x-headgate-allocation", "0")),
            feedback_token=response.headers.get("x-headgate-feedback-token", ""),
        )
        self.answers.append(answer)
        if self.on_answer:
            self.on_answer(answer)


def some_return(prefix: str, rng: random.Random, *, returning: float = 0.2) -> Iterator[str]:
    """Yield users without end: new ones, and with probability ``returning`` one who has been here before."""
    seen = 0
    while True:
        if seen and rng.random() < returning:
            yield f"{prefix}-{rng.randrange(seen)}"
        else:
            yield f"{prefix}-{seen}"
            seen += 1
