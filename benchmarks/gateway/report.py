"""Figures out of samples, as a table and as one JSON object."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gateway.measure import Sample
from benchmarks.gateway.workloads import BODY_100KB, EVENTS, NON_STREAMING, STREAMING

PER_CHUNK = "streaming_per_chunk"
ROWS = {
    NON_STREAMING.name: NON_STREAMING.label,
    STREAMING.name: STREAMING.label,
    PER_CHUNK: "  per event",
    BODY_100KB.name: BODY_100KB.label,
}

Cpu = dict[str, float]
"""µs of CPU by workload."""


def median_cpu(samples: Mapping[str, Sequence[Sample]]) -> Cpu:
    """Return one contender's median CPU per request, and per streamed event."""
    cpu = {name: statistics.median(one.cpu_us for one in measured) for name, measured in samples.items()}
    if STREAMING.name in cpu:
        cpu[PER_CHUNK] = cpu[STREAMING.name] / EVENTS
    return cpu


def ratios(of: Cpu, to: Cpu) -> dict[str, float]:
    """Return how many times as much CPU ``of`` takes as ``to``, for each workload both did."""
    return {name: of[name] / to[name] for name in of if name in to}


def spread(samples: Sequence[Sample]) -> float:
    """Return how far the rounds lie apart: (highest − lowest) / median."""
    costs = [one.cpu_us for one in samples]
    return (max(costs) - min(costs)) / statistics.median(costs)


def summary(samples: Mapping[str, Mapping[str, Sequence[Sample]]], subject: str) -> dict[str, Any]:
    """Return every figure. ``ratio_to_…`` are for non-streaming requests; ``ratios`` has all workloads."""
    cpu = {name: median_cpu(measured) for name, measured in samples.items()}
    all_ratios = {name: ratios(cpu[subject], other) for name, other in cpu.items() if name != subject}
    named = {"tensorzero": "tensorzero", "envoy": "envoy", "bare": "bare-httptools"}
    return {
        "cpu_us": {name: _rounded(figures, 2) for name, figures in cpu.items()},
        **{
            f"ratio_to_{short}": round(all_ratios[name][NON_STREAMING.name], 3)
            for short, name in named.items()
            if NON_STREAMING.name in all_ratios.get(name, {})
        },
        "ratios": {name: _rounded(figures, 3) for name, figures in all_ratios.items()},
        "spread": {
            name: {workload: round(spread(one), 3) for workload, one in measured.items()}
            for name, measured in samples.items()
        },
        "requests_per_second": {
            name: {
                workload: round(statistics.median(one.requests_per_second for one in rounds))
                for workload, rounds in measured.items()
            }
            for name, measured in samples.items()
        },
    }


def table(figures: Mapping[str, Any]) -> str:
    """Return the CPU figures and ratios of a summary for people."""
    cpu, all_ratios = figures["cpu_us"], figures["ratios"]
    rows = {name: label for name, label in ROWS.items() if any(name in one for one in cpu.values())}
    lines = [f"{'µs of CPU':<22}" + "".join(f"{label:>24}" for label in rows.values())]
    for contender, costs in cpu.items():
        cells = (_cell(costs.get(name), all_ratios.get(contender, {}).get(name)) for name in rows)
        lines.append(f"{contender:<22}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join([*lines, "in brackets: how many times as much the first one takes"])


def _cell(cost: float | None, ratio: float | None) -> str:
    if cost is None:
        return "–"
    return f"{cost:,.1f}" + ("" if ratio is None else f"  ({ratio:.2f} ×)")


def _rounded(figures: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in figures.items()}
