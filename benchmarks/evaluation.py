"""How long an evaluation takes: a day of minutes, five metrics, full analysis buckets.

    make evaluation-bench [ARGS="--repeat N"]

Evaluations are pure functions, so this is them and nothing else: no Postgres, no Kafka. The last line of
standard output is one JSON object; times are milliseconds, the median and the fastest of the repetitions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from services.cli.process_memory import COUNTING, keep_freed_memory
from services.domain.ab_evaluation import evaluate_test
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_results import result_rows
from services.domain.ab_segments import Segment, segment_rows
from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import BucketTable
from services.domain.canary import CanaryDefinition, CanaryPlan, Guardrail, SequentialPolicy
from services.domain.canary_tests import TESTED_COLUMNS, StepBuckets
from services.domain.counts import Count, CountTable
from services.domain.evaluation import EvaluationInputs, evaluate
from services.domain.memory import Memory
from services.domain.metric import BUILT_IN
from services.domain.sketches import NO_SKETCHES

MINUTES = 1_440
START = 29_000_000
GOAL_MS = 5.0
METRICS = ("error_rate", "cost", "satisfaction_rate", "latency_mean", "completion_tokens")


def counts(random: np.random.Generator, shares_bp: tuple[int, ...], requests: int) -> CountTable:
    """A day of counts by minute and role, at each share for an equal part of the day."""
    rows = []
    for minute in range(MINUTES):
        share_bp = shares_bp[minute * len(shares_bp) // MINUTES]
        for role, share in enumerate((1.0 - share_bp / 10_000, share_bp / 10_000)):
            served = int(random.poisson(requests * share))
            errors, first = int(random.binomial(served, 0.01)), int(random.binomial(served, 0.5))
            bins = random.multinomial(first, [0.5, 0.25, 0.15, 0.05, 0.04, 0.01]).tolist()
            firsts = [first, min(first, errors)]
            rows.append([START + minute, share_bp, role, served, errors, errors, 0, 0, *firsts, role, *bins])
    return CountTable.from_lists(rows)


def sums(random: np.random.Generator, columns: tuple[str, ...], requests: int) -> BucketTable:
    """Sums in which every analysis bucket is filled."""
    filled = np.zeros((len(columns), 2, ANALYSIS_BUCKETS), np.int64)
    for place, column in enumerate(columns):
        n = random.poisson(requests / ANALYSIS_BUCKETS, ANALYSIS_BUCKETS)
        is_rate = column in ("error", "content_filter")
        filled[place] = n, random.binomial(n, 0.02) if is_rate else random.poisson(n * 800_000)
    return BucketTable(columns, filled)


def ab_test(random: np.random.Generator) -> ABTestInputs:
    """An A/B test of two variants."""
    definition = ABTestDefinition(
        variants=(WeightedVariant("current", 0.5), WeightedVariant("next", 0.5)),
        goals=METRICS[1:3],
        secondary=METRICS[3:],
        metrics=tuple(BUILT_IN[key] for key in METRICS),
        planned_duration_minutes=MINUTES,
    )
    columns = tuple(column.key for column in definition.columns)
    return ABTestInputs(
        definition=definition,
        phase=1,
        variants=("current", "next"),
        weights_bp=(5_000, 5_000),
        counts=counts(random, (5_000,), 200),
        buckets=(sums(random, columns, 100_000), sums(random, columns, 100_000)),
        sketches=(NO_SKETCHES, NO_SKETCHES),
        first_tick=START,
        now_tick=START + MINUTES,
        minutes_running=float(MINUTES),
        evidence_age_seconds=0.1,
    )


def canary(random: np.random.Generator, *guardrails: Guardrail) -> EvaluationInputs:
    """A canary that was ramped up once."""
    policy = SequentialPolicy(guardrails=guardrails)
    steps = (500, 2_500)
    return EvaluationInputs(
        definition=CanaryDefinition(
            treatment="next", plan=CanaryPlan(planned_duration_minutes=MINUTES), policy=policy
        ),
        counts=counts(random, steps, 200),
        step=1,
        share_bp=steps[-1],
        first_tick=START,
        now_tick=START + MINUTES,
        minutes_running=float(MINUTES),
        seconds_in_step=1e4,
        evidence_age_seconds=0.1,
        buckets=tuple(
            StepBuckets(
                share_bp,
                sums(random, TESTED_COLUMNS, 100_000),
                sums(random, TESTED_COLUMNS, 10_000),
            )
            for share_bp in steps
        ),
    )


def one_more(inputs: EvaluationInputs) -> EvaluationInputs:
    """The same canary after one more request of the treatment in the open minute."""
    cells = inputs.counts.cells.copy()
    cells[[Count.REQUESTS, Count.FIRST_REQUESTS, Count.LATENCY], -1] += 1
    return msgspec.structs.replace(inputs, counts=CountTable(cells))


def milliseconds(work: Callable[[], object], repeat: int) -> dict[str, float]:
    """The median and the fastest of so many repetitions, after a first one."""
    work()
    taken = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1e3)
    return {"median_ms": round(statistics.median(taken), 3), "fastest_ms": round(min(taken), 3)}


def measure(repeat: int) -> dict[str, Any]:
    """Measure every kind of evaluation."""
    keep_freed_memory(COUNTING)  # as a worker does
    random = np.random.default_rng(20261123)
    test = ab_test(random)
    evaluated = evaluate_test(test)
    errors = canary(random, Guardrail())
    three = canary(random, Guardrail(), Guardrail("content_filter_rate"), Guardrail("latency"))
    going_on, memory = itertools.cycle((three, one_more(three))), Memory()
    segment = Segment("tier=pro", test.buckets, test.sketches)
    work: dict[str, Callable[[], object]] = {
        "ab_test_judged": lambda: evaluate_test(test),
        "ab_test_judged_with_all_results": lambda: result_rows(evaluate_test(test)),
        "ab_test_one_segment": lambda: segment_rows(evaluated.inputs, [segment]),
        "canary_error_rate": lambda: evaluate(errors),
        "canary_three_guardrails_first_time": lambda: evaluate(three),
        "canary_three_guardrails": lambda: evaluate(next(going_on), memory),
    }
    return {name: milliseconds(one, repeat) for name, one in work.items()}


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=100, help="repetitions of each (100)")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    figures = measure(arguments.repeat)
    print(
        json.dumps(
            {
                "minutes": MINUTES,
                "metrics": len(METRICS),
                "analysis_buckets": ANALYSIS_BUCKETS,
                "goal_ms": GOAL_MS,
                "load_before": round(load, 2),
                **figures,
            }
        )
    )


if __name__ == "__main__":
    main()
