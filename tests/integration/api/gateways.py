"""A gateway as health checks see it: what it has learnt, and how each variant answers through it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.api.conftest import newest_route

KEY = "hg-key-of-the-health-checks"


class Gateway:
    """Answers for the variants of the newest published route. ``url`` is set once it listens."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.url = ""
        self.broken: set[str] = set()
        self.hanging: set[str] = set()
        self.lags_for = 0
        """For so many requests it serves the allocation before the newest one."""
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the gateway would, with what says who answered."""
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _refusal(401, "this API key is not known here")
        route, variant = await newest_route(self._engine), request.headers["x-headgate-force-variant"]
        body = await request.json()
        self.asked.append(body | {"variant": variant, "path": request.path})
        if variant not in route.variants or body["model"] != route.key:
            return _refusal(404, f"route {route.key!r} has no variant {variant!r} at the moment")
        if variant in self.hanging:
            await asyncio.sleep(60)
        lag = int(self.lags_for > 0)
        self.lags_for -= lag
        headers = {
            "x-headgate-variant": variant,
            "x-headgate-allocation": str(route.allocation_version - lag),
            "x-headgate-request-id": f"request-{len(self.asked)}",
        }
        if variant in self.broken:
            return web.json_response({"error": {"message": "out of order"}}, status=500, headers=headers)
        if body.get("stream"):
            return _stream(headers)
        choice = {"message": {"content": "The capital is Paris."}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]}, headers=headers)


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def _stream(headers: dict[str, str]) -> web.Response:
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in ("The capital ", "is Paris.")]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    text = "".join([*lines, "data: [DONE]\n\n"])
    return web.Response(text=text, content_type="text/event-stream", headers=headers)


@asynccontextmanager
async def running_gateway(engine: AsyncEngine) -> AsyncIterator[Gateway]:
    """A gateway on a free port."""
    gateway = Gateway(engine)
    app = web.Application()
    app.router.add_post("/v1/{surface:.+}", gateway.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield gateway
    await runner.cleanup()
