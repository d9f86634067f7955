"""Traffic that a server does not keep up with."""

from __future__ import annotations

import asyncio
import itertools

from aiohttp import web

from services.demo.traffic import Traffic
from services.embedded.ports import free_port


async def test_no_more_is_under_way_than_may_be() -> None:
    waiting, release = [], asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        waiting.append(request.headers["x-headgate-unit"])
        await release.wait()
        return web.Response(headers={"x-headgate-variant": "slow"})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    units = (f"unit-{n}" for n in itertools.count())
    traffic = Traffic(f"http://127.0.0.1:{port}", "key", "route", 1_000, units, most_under_way=5)
    running = asyncio.create_task(traffic.run(at_most_seconds=60))
    while len(waiting) < 5:
        await asyncio.sleep(0.01)
    # A hundred more fall due, and are not sent.
    await asyncio.sleep(0.1)
    assert len(waiting) == 5
    release.set()
    while len(traffic.answers) < 50:
        await asyncio.sleep(0.01)
    traffic.stop()
    await running
    await runner.cleanup()
    assert traffic.unanswered == 0
    assert {one.variant for one in traffic.answers} == {"slow"}
    assert len({one.unit for one in traffic.answers}) == len(traffic.answers)
