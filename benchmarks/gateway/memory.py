"""Whether the gateway's memory stays flat over half a million requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.gateway.contender import Contender
from benchmarks.gateway.cpu import tree_rss
from benchmarks.gateway.headgate import check_everything_was_on
from benchmarks.gateway.load import Load
from benchmarks.gateway.workloads import NON_STREAMING, STREAMING, Workload
from services.embedded.progress import Say

REQUESTS = 500_000
BATCH = 50_000
WARM_UP_SECONDS = 70.0
"""Limits remember the requests of the last minute: so long does memory grow with any new rate."""
LOOKS = 10
STREAMED_SHARE = 0.01
FLAT_WITHIN = 0.03
"""Growth from the warm-up's end to the end that counts as flat."""
UNITS = 20_000
MIB = 1024 * 1024


async def watch_memory(contender: Contender, requests: int, connections: int, say: Say) -> dict[str, Any]:
    """Ask that often, one in a hundred streamed, and look at the resident memory on the way."""
    at_start = tree_rss(contender.pid)
    warm_up = 0
    warm_at = time.monotonic() + WARM_UP_SECONDS
    while time.monotonic() < warm_at:
        await _ask(contender, BATCH, connections)
        warm_up += BATCH
        say(f"{warm_up:>9,} requests to warm up: {tree_rss(contender.pid) / MIB:.1f} MiB")
    looks = [tree_rss(contender.pid)]
    for number in range(LOOKS):
        await _ask(contender, requests // LOOKS, connections)
        looks.append(tree_rss(contender.pid))
        done = (number + 1) * (requests // LOOKS)
        say(f"{done:>9,} requests: {looks[-1] / MIB:.1f} MiB")
    checked = await check_everything_was_on(contender)
    return summary(at_start, looks) | checked


def summary(at_start: int, looks: Sequence[int]) -> dict[str, Any]:
    """Return the figures; ``looks`` are resident bytes from the end of the warm-up on."""
    growth = looks[-1] / looks[0] - 1
    return {
        "rss_mib_at_start": round(at_start / MIB, 1),
        "rss_mib_after_warm_up": round(looks[0] / MIB, 1),
        "rss_mib_at_end": round(looks[-1] / MIB, 1),
        "rss_mib_on_the_way": [round(one / MIB, 1) for one in looks[1:]],
        "growth": round(growth, 4),
        "flat": growth <= FLAT_WITHIN,
    }


async def _ask(contender: Contender, requests: int, connections: int) -> None:
    streamed = round(requests * STREAMED_SHARE)
    for workload, count in ((NON_STREAMING, requests - streamed), (STREAMING, streamed)):
        await _ask_for(contender, workload, count, connections)
    await asyncio.sleep(0.5)


async def _ask_for(contender: Contender, workload: Workload, count: int, connections: int) -> None:
    if count:
        made = contender.target.requests(workload, min(count, UNITS))
        async with Load(contender.target, workload, made, connections) as load:
            await load.run(requests=count)
