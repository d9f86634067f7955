"""A receiver of webhooks: an HTTP server that keeps what it got and answers as it is told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

SECRET = "whsec_" + "c2lnbmVkIGJ5IHRoZSB0ZXN0cyBvZiBoZWFkZ2F0ZQ=="


@dataclass
class Receiver:
    """What was received, in order. ``answers`` are used up one by one; after them everything is accepted."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)
    answers: list[web.Response | None] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    takes_seconds: float = 0.0
    stop_hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        # Raises, and so answers 500, where the signature is wrong.
        Verifier(SECRET).verify(body, dict(request.headers))
        self.tries[request.headers["webhook-id"]] += 1
        answer = self.answers.pop(0) if self.answers else web.Response()
        if answer is None:
            await self.stop_hanging.wait()
            return web.Response()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.takes_seconds)
        self.under_way -= 1
        if answer.status == 200:
            self.events.append(json.loads(body))
        return answer

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    yield receiver
    receiver.stop_hanging.set()
    await runner.cleanup()
