"""Latency of a route with a shadow that answers, hangs, fails or floods, next to one without a shadow.

    make bench-shadow ARGS="--rounds 8 --rate 400 --json"

One gateway, one provider that answers production at once, and one for the shadows. Requests come at a fixed
rate, and all are mirrored unless said otherwise. Rounds go through the routes in turn, each time in another
order, so that whatever else the machine does hits all of them alike. Latency counts from when a request was
due; p99_lowest and p99_highest are those of single rounds, which say how much is noise; cpu is what the
gateway's process used for each request of a caller.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.gateway.contender import running, until_listening
from benchmarks.gateway.cpu import tree_seconds
from benchmarks.gateway.headgate import state_of
from benchmarks.gateway.load import Target as Door
from benchmarks.gateway.workloads import NON_STREAMING
from benchmarks.shadow.installation import KEY, SECRET_VARIABLE, installed, route_of
from benchmarks.shadow.load import Pool, Seen
from benchmarks.shadow.upstream import MODES
from services.embedded.kafka import EmbeddedKafka
from services.embedded.ports import free_port
from services.embedded.processes import ManagedProcess
from services.messaging.settings import KafkaSettings

WITHOUT = "none"
CONNECTIONS = 64
SETTLE_SECONDS = 1.2
"""Longer than a shadow may take, so that no window pays for the one before."""
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard, and which share of the requests is mirrored."""

    rounds: int
    rate: float
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway's port and process."""

    port: int
    pid: int


@dataclass(slots=True)
class Window:
    """What was seen of one route in all rounds, and the processor seconds that the gateway used."""

    seen: Seen = field(default_factory=Seen)
    cpu_seconds: float = 0.0
    p99_of_rounds: list[float] = field(default_factory=list)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


@asynccontextmanager
async def _staged(share: float) -> AsyncIterator[Target]:
    """Run everything."""
    kafka = EmbeddedKafka(say=_say)
    production_port, shadows_port, port = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as directory:
        place = Path(directory)
        try:
            await asyncio.to_thread(kafka.start)
            settings = KafkaSettings(kafka=kafka.bootstrap_servers)
            production, shadows = (
                _process(f"upstream-{number}", place, "benchmarks.shadow.upstream", str(number))
                for number in (production_port, shadows_port)
            )
            environment = {
                "HEADGATE_KAFKA": settings.kafka,
                "HEADGATE_GATEWAY_PORT": str(port),
                "HEADGATE_GATEWAY_STATE_DIR": str(place / "gateway"),
                SECRET_VARIABLE: "sk-static",
            }
            gateway = _process("gateway", place, "services.cli.main", "gateway", **environment)
            async with running(production), running(shadows):
                await until_listening(production, production_port)
                await until_listening(shadows, shadows_port)
                await installed(settings, production_port, shadows_port, share)
                async with running(gateway):
                    await until_listening(gateway, port)
                    while (await state_of(port))["checks"]["config"]["routes"] < len(MODES) + 1:
                        await asyncio.sleep(0.05)
                    yield Target(port, gateway.pid)
        finally:
            await asyncio.to_thread(kafka.stop)


def _process(name: str, place: Path, module: str, *arguments: str, **environment: str) -> ManagedProcess:
    return ManagedProcess(
        name,
        [sys.executable, "-m", module, *arguments],
        log_path=place / f"{name}.log",
        env={**os.environ, **environment},
    )


async def _measure(target: Target, plan: Plan) -> dict[str, Window]:
    pool, order = Pool(), random.Random(20261123)
    await pool.open(target.port, CONNECTIONS)
    door = Door(target.port, "/v1/chat/completions", (), (("authorization", f"Bearer {KEY}"),))
    requests = {mode: door.request(NON_STREAMING.body(route_of(mode)), 1) for mode in (WITHOUT, *MODES)}
    found = {mode: Window() for mode in requests}
    for request in requests.values():
        await pool.run(request, plan.rate, WARM_UP_SECONDS)
    for number in range(plan.rounds):
        for mode in order.sample(sorted(requests), len(requests)):
            await asyncio.sleep(SETTLE_SECONDS)
            before = tree_seconds(target.pid)
            seen = await pool.run(requests[mode], plan.rate, plan.seconds)
            found[mode].seen.seconds += seen.seconds
            found[mode].seen.failed += seen.failed
            found[mode].p99_of_rounds.append(_quantile(seen.seconds, 99))
            found[mode].cpu_seconds += tree_seconds(target.pid) - before
        _say(f"round {number + 1} of {plan.rounds}")
    pool.close()
    return found


def _summary(found: dict[str, Window]) -> dict[str, dict[str, Any]]:
    return {mode: _figures(window) for mode, window in found.items()}


def _figures(window: Window) -> dict[str, Any]:
    seconds, rounds = window.seen.seconds, window.p99_of_rounds
    return {
        "requests": len(seconds),
        "failed": window.seen.failed,
        **{f"p{part:g}_ms": _quantile(seconds, part) for part in (50, 90, 99, 99.9)},
        "p99_lowest": min(rounds),
        "p99_highest": max(rounds),
        "cpu_us": round(1e6 * window.cpu_seconds / len(seconds)),
    }


def _quantile(seconds: list[float], part: float) -> float:
    """Return a percentile in milliseconds."""
    ordered = sorted(seconds)
    return round(1000 * ordered[int(part / 100 * (len(ordered) - 1))], 3)


async def _run(plan: Plan) -> dict[str, dict[str, Any]]:
    async with _staged(plan.share) as target:
        return _summary(await _measure(target, plan))


def main() -> None:
    """Run and print a table, or with --json one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--rate", type=float, default=400.0)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--share", type=float, default=1.0, help="of the requests that are mirrored")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    summary = uvloop.run(_run(Plan(given.rounds, given.rate, given.seconds, given.share)))
    if given.json:
        print(json.dumps(summary))
        return
    columns = list(summary[WITHOUT])
    print(f"{'shadow':<10}" + "".join(f"{column:>13}" for column in columns))
    for mode, figures in summary.items():
        print(f"{mode:<10}" + "".join(f"{figures[column]:>13}" for column in columns))


if __name__ == "__main__":
    main()
