"""Random cases for the engine and for us: the same samples, in a form that JSON can hold."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from analytics.buckets import BucketSums, bucketed_mean
from analytics.cuped import Adjustment, adjusted_mean, adjustment
from analytics.estimates import Estimate
from analytics.means import SampleSums, sample_mean
from analytics.proportions import EventCounts, proportion
from analytics.results import Insufficient

Case = dict[str, Any]
VARIANTS = ("treatment", "control")


def random_cases(random: np.random.Generator, how_many: int) -> list[Case]:
    """Cases of every kind by turns."""
    kinds = (_proportion, _mean, _ratio, _adjusted)
    return [_settings(random) | kinds[i % len(kinds)](random) for i in range(how_many)]


def our_estimates(case: Case) -> tuple[Estimate, Estimate]:
    """Treatment and control of a case, by our own sums."""
    treatment, control = _estimates(case)
    assert isinstance(treatment, Estimate)
    assert isinstance(control, Estimate)
    return treatment, control


def _estimates(case: Case) -> Iterable[Estimate | Insufficient]:
    treatment, control = (case[variant] for variant in VARIANTS)
    if case["kind"] == "proportion":
        return proportion(EventCounts(**treatment)), proportion(EventCounts(**control))
    if case["kind"] == "mean":
        return (sample_mean(SampleSums.of(data["values"])) for data in (treatment, control))
    if case["kind"] == "ratio":
        both = [BucketSums.of(data["n"], data["s"]) for data in (treatment, control)]
        return (_as_clusters(sums) for sums in both)
    both = [BucketSums.of(np.ones(len(data["s"])), data["s"], data["x"]) for data in (treatment, control)]
    by = adjustment(both)
    assert isinstance(by, Adjustment)
    return (adjusted_mean(sums, by) for sums in both)


def _as_clusters(sums: BucketSums) -> Estimate:
    """The engine's clock, variance and degrees of freedom know nothing of the sizes of clusters; ours do."""
    estimate = bucketed_mean(sums, sample_size=len(sums.n))
    assert isinstance(estimate, Estimate)
    return replace(estimate, variance=estimate.variance / by_leverage(sums), degrees=len(sums.n) - 1)


def by_leverage(sums: BucketSums) -> float:
    """By what leverage raises the variance: ((B−1)/B)²·Σ(e/(1−h))²/Σe², which is 1 for equal clusters.

    From the samples, cluster by cluster in plain Python, so that nothing of ours is taken for granted.
    """
    n, s = sums.n.tolist(), sums.s.tolist()
    total_n, mean, clusters = math.fsum(n), math.fsum(s) / math.fsum(n), len(n)
    residuals = [of_s - mean * of_n for of_n, of_s in zip(n, s, strict=True)]
    raised = [e / (1.0 - of_n / total_n) for of_n, e in zip(n, residuals, strict=True)]
    factor = math.fsum(e * e for e in raised) / math.fsum(e * e for e in residuals)
    return ((clusters - 1) / clusters) ** 2 * factor


def _settings(random: np.random.Generator) -> Case:
    return {
        "alpha": float(random.choice([0.01, 0.05, 0.1, 0.2])),
        "tuned_for": float(random.choice([500, 5_000, 50_000])),
        "prior_mean": float(random.normal(0.0, 0.1)),
        "prior_deviation": float(random.uniform(0.05, 2.0)),
    }


def _proportion(random: np.random.Generator) -> Case:
    rate = 10.0 ** random.uniform(-2.0, -0.1)
    sizes = random.integers(200, 50_000, 2)
    events = [random.binomial(n, min(0.99, rate * random.uniform(0.8, 1.25))) for n in sizes]
    data = [{"n": int(n), "events": int(k)} for n, k in zip(sizes, events, strict=True)]
    return {"kind": "proportion"} | dict(zip(VARIANTS, data, strict=True))


def _mean(random: np.random.Generator) -> Case:
    scale = 10.0 ** random.uniform(-4.0, 4.0)
    data = [
        {"values": (scale * random.lognormal(shift, 1.0, random.integers(2, 200))).tolist()}
        for shift in random.normal(0.0, 0.3, 2)
    ]
    return {"kind": "mean"} | dict(zip(VARIANTS, data, strict=True))


def _ratio(random: np.random.Generator) -> Case:
    scale = 10.0 ** random.uniform(-4.0, 4.0)
    data = []
    for shift in random.normal(0.0, 0.2, 2):
        n = random.integers(1, 100, random.integers(2, 100)).astype(float)
        data.append({"n": n.tolist(), "s": (scale * n * random.lognormal(shift, 0.5, len(n))).tolist()})
    return {"kind": "ratio"} | dict(zip(VARIANTS, data, strict=True))


def _adjusted(random: np.random.Generator) -> Case:
    scale = 10.0 ** random.uniform(-3.0, 3.0)
    slope = random.uniform(-1.0, 2.0)
    data = []
    for shift in random.normal(5.0, 0.5, 2):
        x = random.gamma(2.0, 1.0, random.integers(3, 200))
        s = scale * (shift + slope * x + random.normal(0.0, 1.0, len(x)))
        data.append({"s": s.tolist(), "x": x.tolist()})
    return {"kind": "adjusted"} | dict(zip(VARIANTS, data, strict=True))
