"""One measurement: a workload on one contender, for some seconds, and the CPU it took."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.gateway.contender import Contender
from benchmarks.gateway.cpu import tree_seconds
from benchmarks.gateway.load import BadAnswer, Load
from benchmarks.gateway.workloads import UNITS, Workload

SETTLE_SECONDS = 0.1
"""Before each look at the CPU: what was put off (outcome batches) belongs to the requests before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard."""

    connections: int = 32
    warm_up_seconds: float = 1.0
    seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured stretch."""

    requests: int
    seconds: float
    cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """CPU per request in microseconds."""
        return 1e6 * self.cpu_seconds / self.requests

    @property
    def requests_per_second(self) -> float:
        """Throughput of the closed loop."""
        return self.requests / self.seconds

    @property
    def cores(self) -> float:
        """How many cores the contender kept busy."""
        return self.cpu_seconds / self.seconds


async def measure(contender: Contender, workload: Workload, plan: Plan) -> Sample:
    """Warm up, then measure. Raises BadAnswer at the first wrong answer."""
    requests = contender.target.requests(workload, UNITS)
    try:
        async with Load(contender.target, workload, requests, plan.connections) as load:
            await load.run(seconds=plan.warm_up_seconds)
            await asyncio.sleep(SETTLE_SECONDS)
            before = tree_seconds(contender.pid)
            answered = await load.run(seconds=plan.seconds)
            await asyncio.sleep(SETTLE_SECONDS)
            used = tree_seconds(contender.pid) - before
    except BadAnswer as problem:
        raise BadAnswer(f"{contender.name}, {workload.label}: {problem}") from None
    return Sample(answered.requests, answered.seconds, used)
