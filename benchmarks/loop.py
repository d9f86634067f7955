"""How long the loop takes, by stage: from the outcome that proves a canary bad to the new split being served.

    make loop-bench ARGS="--rollbacks 100 --json"

Runs the whole product on an embedded Kafka and Postgres, and lets one canary after the other fail. Stages,
all seen from the client or read from the decision:

    decided   the outcome with which the evidence reached 1/α was answered → the decision was recorded
              (gather, Kafka, count, flush, evaluate)
    applied   → routing changed the allocation (outbox, Kafka, routing's transaction)
    served    → the first request was served the new split (outbox, Kafka, the gateway; plus up to the time
              between two requests of the generator)
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import datetime

from services.demo.control import ControlApi
from services.demo.product import Addresses, Product, on_embedded_stack
from services.demo.setup import create_key, create_route, create_variant, start_canary, wait_until_served
from services.demo.timing import tested_errors, time_rollback
from services.demo.traffic import Traffic

STAGES = ("decided", "applied", "served", "loop")
SHARE = 0.20
REQUESTS_PER_SECOND = 300.0


@dataclass(frozen=True, slots=True)
class Rollback:
    """One rollback's stages, in milliseconds."""

    decided: float
    applied: float
    served: float
    loop: float


async def _one(api: ControlApi, product: Product, client_key: str, number: int) -> Rollback | None:
    route, key = f"bench-{number}", f"bench-canary-{number}"
    await create_route(api, route, "bench-steady")
    await wait_until_served(product.addresses.gateway, client_key, route)
    units = (f"unit-{number}-{i}" for i in itertools.count())
    traffic = Traffic(product.addresses.gateway, client_key, route, REQUESTS_PER_SECOND, units)
    running = asyncio.create_task(traffic.run(at_most_seconds=30))
    while not traffic.answers:
        await asyncio.sleep(0.01)
    await start_canary(api, key, route, "bench-broken", {"steps": [SHARE]})
    while not running.done() and (await api.get(f"/v1/experiments/{key}"))["status"] != "stopped":
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    traffic.stop()
    await running
    decisions = (await api.get(f"/v1/experiments/{key}/decisions"))["items"]
    if not decisions:
        return None
    timing = time_rollback(
        traffic.answers, treatment="bench-broken", share=SHARE, tested_errors=tested_errors(decisions[0])
    )
    if timing is None:
        return None
    to_wall = time.time() - time.monotonic()
    decided = datetime.fromisoformat(decisions[0]["decided_at"]).timestamp()
    applied = datetime.fromisoformat(decisions[0]["applied_at"]).timestamp()
    return Rollback(
        decided=1000 * (decided - timing.proved_at - to_wall),
        applied=1000 * (applied - decided),
        served=1000 * (timing.served_at + to_wall - applied),
        loop=timing.loop_ms,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)


async def _run(rollbacks: int) -> list[Rollback]:
    measured: list[Rollback] = []
    async with (
        on_embedded_stack(_say, Addresses.free()) as (product, _),
        ControlApi(product.addresses.api, product.admin_key) as api,
    ):
        client_key = await create_key(api, "bench")
        await create_variant(
            api, "bench-steady", product.addresses.provider, "sim:error_rate=0.01,latency_ms=1"
        )
        await create_variant(
            api, "bench-broken", product.addresses.provider, "sim:error_rate=0.5,latency_ms=1"
        )
        for number in range(rollbacks):
            if result := await _one(api, product, client_key, number):
                measured.append(result)
            if (number + 1) % 10 == 0:
                _say(f"{number + 1} of {rollbacks} rollbacks")
    return measured


def _summary(measured: list[Rollback]) -> dict[str, dict[str, float]]:
    table = {}
    for stage in STAGES:
        values = sorted(getattr(rollback, stage) for rollback in measured)
        table[stage] = {
            "median_ms": round(statistics.median(values), 1),
            "p90_ms": round(values[int(0.9 * (len(values) - 1))], 1),
            "max_ms": round(values[-1], 1),
        }
    return table


def main() -> None:
    """Run and print a table, or with --json one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rollbacks", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = asyncio.run(_run(arguments.rollbacks))
    if not measured:
        sys.exit("no rollback could be measured")
    summary = _summary(measured)
    if arguments.json:
        print(json.dumps({"rollbacks": len(measured), "stages": summary}))
        return
    print(f"{len(measured)} rollbacks" + "".join(f"{name:>12}" for name in ("median", "p90", "max")))
    for stage, figures in summary.items():
        print(f"{stage:<14}" + "".join(f"{value:>9} ms" for value in figures.values()))


if __name__ == "__main__":
    main()
