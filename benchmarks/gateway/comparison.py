"""Rounds: in each, every contender does every workload, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gateway.contender import Contender
from benchmarks.gateway.headgate import NAME, check_everything_was_on
from benchmarks.gateway.measure import Plan, Sample, measure
from benchmarks.gateway.workloads import Workload
from services.embedded.progress import Say

Samples = dict[str, dict[str, list[Sample]]]
"""By contender and workload, one of each round."""


async def compare(
    contenders: Sequence[Contender], workloads: Sequence[Workload], rounds: int, plan: Plan, say: Say
) -> Samples:
    """Measure interleaved, so that whatever else the machine does meets everybody alike."""
    samples: Samples = {one.name: {workload.name: [] for workload in workloads} for one in contenders}
    for number in range(rounds):
        for workload in workloads:
            for contender in _rotated(contenders, number):
                sample = await measure(contender, workload, plan)
                samples[contender.name][workload.name].append(sample)
                say(_line(number + 1, rounds, contender, workload, sample))
        for contender in contenders:
            if contender.name.startswith(NAME):
                await check_everything_was_on(contender)
    return samples


def _rotated(contenders: Sequence[Contender], by: int) -> list[Contender]:
    """Let another one begin in each round."""
    by %= len(contenders)
    return [*contenders[by:], *contenders[:by]]


def _line(number: int, rounds: int, contender: Contender, workload: Workload, sample: Sample) -> str:
    return (
        f"round {number} of {rounds}  {workload.label:<22} {contender.name:<16} {sample.cpu_us:>9.1f} µs "
        f"{sample.requests_per_second:>8.0f}/s  {sample.cores:.2f} cores"
    )
