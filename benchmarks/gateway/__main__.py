"""What Headgate's gateway costs, next to others.

    make bench-gateway ARGS=--json                     CPU per request, side by side
    make bench-gateway ARGS="--memory --json"          resident memory over 500,000 requests
    make bench-gateway ARGS="--scale --json"           1 against 1,000 routes and running experiments

How it is measured is told in docs/benchmarks.md. Progress goes to stderr; with --json the last line of stdout
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from benchmarks.gateway.comparison import compare
from benchmarks.gateway.contender import Contender, Start, Surroundings
from benchmarks.gateway.environments import CannotInstall
from benchmarks.gateway.floor import Bare
from benchmarks.gateway.headgate import NAME, PURE, UNLIMITED, Headgate, NotEverythingOn
from benchmarks.gateway.load import BadAnswer
from benchmarks.gateway.measure import Plan
from benchmarks.gateway.memory import REQUESTS, watch_memory
from benchmarks.gateway.optional_peers import litellm, portkey
from benchmarks.gateway.peers import TensorZero, envoy
from benchmarks.gateway.report import summary, table
from benchmarks.gateway.stage import Stage, staged
from benchmarks.gateway.workloads import NON_STREAMING, WORKLOADS
from services.cli.running import set_up_logging
from services.embedded.errors import EmbeddedError
from services.embedded.progress import say_to_stderr

_FAILURES = (BadAnswer, CannotInstall, EmbeddedError, NotEverythingOn)


async def _comparison(stage: Stage, chosen: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    starts: list[Start] = [
        Headgate(stage.bootstrap_servers),
        Headgate(stage.bootstrap_servers, name=PURE, compiled=False),
        TensorZero(),
        TensorZero(threads=None),
        envoy,
        Bare("httptools"),
        Bare("aiohttp"),
    ]
    starts += [litellm] if chosen.with_litellm else []
    starts += [portkey] if chosen.with_portkey else []
    async with AsyncExitStack() as stack:
        contenders = await _all(starts, stage.given, stack)
        samples = await compare(contenders, WORKLOADS, chosen.rounds, plan, say_to_stderr)
        return summary(samples, NAME) | {"versions": {one.name: one.version for one in contenders}}


async def _scale(stage: Stage, chosen: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    one, many = f"{NAME}-one-route", f"{NAME}-{chosen.routes}-routes"
    starts = [
        Headgate(
            stage.bootstrap_servers, routes, f"{name}{UNLIMITED if not limited else ''}", limited=limited
        )
        for limited in (False, True)
        for name, routes in ((one, 1), (many, chosen.routes))
    ]
    async with AsyncExitStack() as stack:
        contenders = await _all(starts, stage.given, stack)
        samples = await compare(contenders, [NON_STREAMING], chosen.rounds, plan, say_to_stderr)
    figures = summary(samples, one)
    cpu = {name: cost[NON_STREAMING.name] for name, cost in figures["cpu_us"].items()}
    return figures | {
        "routes": chosen.routes,
        "growth": round(cpu[many + UNLIMITED] / cpu[one + UNLIMITED], 3),
        "growth_with_limits": round(cpu[many] / cpu[one], 3),
    }


async def _memory(stage: Stage, chosen: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    async with Headgate(stage.bootstrap_servers)(stage.given) as contender:
        return await watch_memory(contender, chosen.requests, plan.connections, say_to_stderr)


async def _all(starts: Sequence[Start], given: Surroundings, stack: AsyncExitStack) -> list[Contender]:
    return [await stack.enter_async_context(start(given)) for start in starts]


async def _run(chosen: argparse.Namespace) -> dict[str, Any]:
    plan = Plan(chosen.connections, chosen.warm_up, chosen.seconds)
    mode = _memory if chosen.memory else _scale if chosen.scale else _comparison
    async with staged(say_to_stderr) as stage:
        load_before = os.getloadavg()[0]
        figures = await mode(stage, chosen, plan)
    return figures | {
        "rounds": chosen.rounds,
        "seconds": plan.seconds,
        "connections": plan.connections,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(load_before, 2),
        },
    }


def _print(figures: dict[str, Any], chosen: argparse.Namespace) -> None:
    if "cpu_us" in figures:
        print(table(figures), file=sys.stderr if chosen.json else sys.stdout)
    if chosen.json:
        print(json.dumps(figures))
    elif "cpu_us" not in figures:
        print("\n".join(f"{name:<24} {value}" for name, value in figures.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "benchmarks.gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on stdout")
    parser.add_argument("--with-litellm", action="store_true", help="measure the LiteLLM proxy too")
    parser.add_argument("--with-portkey", action="store_true", help="measure Portkey too (needs Node.js)")
    parser.add_argument("--rounds", type=int, default=5, help="the median of them counts (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="each measurement (default 4)")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before each (default 1)")
    parser.add_argument("--connections", type=int, default=32, help="keep-alive connections (default 32)")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--memory", action="store_true", help="watch memory instead")
    modes.add_argument("--scale", action="store_true", help="compare 1 with many routes instead")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="with --memory (default 500,000)")
    parser.add_argument("--routes", type=int, default=1_000, help="with --scale (default 1,000)")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    chosen = _arguments()
    set_up_logging("WARNING")
    try:
        figures = uvloop.run(_run(chosen))
    except _FAILURES as failure:
        sys.exit(f"nothing measured: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    _print(figures, chosen)


if __name__ == "__main__":
    main()
