"""Simulated sums and counts of A/B tests, drawn unit by unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.quantiles import REPLICATES, ReplicatedSketch
from analytics.sketch import cells_of
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_test import ABTestDefinition, TestGuardrail, WeightedVariant
from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import BucketTable
from services.domain.counts import CountRow, CountTable
from services.domain.events import Role
from services.domain.metric import BUILT_IN, Metric, columns_for
from services.domain.sketches import SourceSketches

START = 29_000_000
MINUTES = 30

CONVERSION = Metric(
    key="conversion", source="feedback:converted", kind="proportion", per="unit", better="higher"
)
REQUESTS_PER_UNIT = Metric(key="requests_per_unit", source="requests", per="unit", better="higher")
COST_PER_TOKEN = Metric(key="cost_per_token", source="cost", kind="ratio", denominator="completion_tokens")
METRICS = (
    *(BUILT_IN[key] for key in ("error_rate", "content_filter_rate", "cost", "latency_mean", "latency_p95")),
    CONVERSION,
    REQUESTS_PER_UNIT,
    COST_PER_TOKEN,
)
COLUMNS = tuple(column.key for column in columns_for(METRICS))


def definition(*, weights: tuple[float, ...] = (0.5, 0.5), **changes: Any) -> ABTestDefinition:
    """Two variants, cost and conversion as goals, unless said otherwise."""
    values: dict[str, Any] = {
        "variants": tuple(
            WeightedVariant(key, weight) for key, weight in zip("abcdef", weights, strict=False)
        ),
        "goals": ("cost", "conversion"),
        "secondary": ("latency_mean",),
        "guardrails": (TestGuardrail("error_rate"),),
        "metrics": METRICS,
        "minimum_units": 100,
        "planned_duration_minutes": 1_000,
    }
    return ABTestDefinition(**{**values, **changes})


class Variant:
    """What one variant's units did: a heavy-tailed number of requests each, alike within a unit."""

    def __init__(
        self,
        random: np.random.Generator,
        units: int,
        *,
        error: float = 0.01,
        cost: float = 1.0,
        conversion: float = 0.2,
        slower: float = 1.0,
    ) -> None:
        self.units = units
        requests = 1 + random.poisson(random.pareto(2.5, units) * 2.0)
        unit = np.repeat(np.arange(units), requests)
        self.bucket = random.integers(0, ANALYSIS_BUCKETS, units)
        self.of_request = self.bucket[unit]
        n = len(unit)
        taste = random.lognormal(0.0, 0.4, units)[unit]
        self.error = (random.random(n) < error).astype(np.int64)
        self.latency_us = (1e6 * slower * taste * random.lognormal(0.0, 0.3, n)).astype(np.int64)
        self.tokens = random.poisson(200 * taste).astype(np.int64) + 1
        self.cost_nanos = (cost * self.tokens * 1_000).astype(np.int64)
        self.converted = (random.random(units) < conversion).astype(np.int64)
        self.covariate = np.bincount(unit, minlength=units) + random.normal(0.0, 0.2, units)
        self.first = np.unique(unit, return_index=True)[1]
        errors_of = np.bincount(unit, self.error, minlength=units)
        self.units_with_error = int(np.count_nonzero(errors_of))

    def table(self) -> BucketTable:
        """The sums by analysis bucket."""
        sums = np.zeros((len(COLUMNS), 2, ANALYSIS_BUCKETS), np.int64)

        def put(column: str, where: NDArray[Any], values: NDArray[Any]) -> None:
            place = COLUMNS.index(column)
            np.add.at(sums[place, 0], where, 1)
            np.add.at(sums[place, 1], where, values.astype(np.int64))

        put("units", self.bucket, 1e6 * self.covariate)
        put("error", self.of_request, self.error)
        put("content_filter", self.of_request, np.zeros_like(self.error))
        put("latency", self.of_request, self.latency_us)
        put("log_latency", self.of_request, 1e6 * np.log(self.latency_us / 1e6))
        put("completion_tokens", self.of_request, self.tokens)
        put("cost", self.of_request, self.cost_nanos)
        put("units_with:feedback:converted", self.bucket, self.converted)
        return BucketTable(COLUMNS, sums)

    def sketches(self) -> SourceSketches:
        """The distribution of latencies."""
        cells = cells_of(self.latency_us / 1e6)
        replicates = self.of_request % REPLICATES
        return SourceSketches(
            {"latency": ReplicatedSketch.from_rows(replicates, cells, np.ones(len(cells), np.int64))}
        )

    def rows(self, index: int, share_bp: int) -> list[CountRow]:
        """The counts, spread over the minutes."""
        requests = np.diff(np.linspace(0, len(self.error), MINUTES + 1).astype(int))
        errors = spread_as(requests, int(self.error.sum()))
        first_requests = spread_as(requests, self.units)
        spread = {
            "requests": requests.tolist(),
            "errors": errors.tolist(),
            "first_errors": spread_as(errors, self.units_with_error).tolist(),
            "first_requests": first_requests.tolist(),
            "first_request_errors": spread_as(first_requests, int(self.error[self.first].sum())).tolist(),
        }
        return [
            CountRow(
                tick=START + minute,
                treatment_share_bp=share_bp,
                role=Role.TREATMENT if index else Role.CONTROL,
                content_filters=0,
                first_content_filters=0,
                variant_index=index,
                **{name: values[minute] for name, values in spread.items()},
            )
            for minute in range(MINUTES)
        ]


def spread_as(of_minutes: NDArray[Any], part: int) -> NDArray[Any]:
    """A part of what came in the minutes, in the same proportions: in none of them more than all."""
    so_far = of_minutes.cumsum()
    spread: NDArray[Any] = np.diff(so_far * part // max(int(so_far[-1]), 1), prepend=0)
    return spread


def inputs(
    variants: list[Variant], *, defined: ABTestDefinition | None = None, **changes: Any
) -> ABTestInputs:
    """Everything an evaluation depends on, of these variants."""
    test = defined or definition(weights=(0.5, 0.5))
    values: dict[str, Any] = {
        "definition": test,
        "phase": 1,
        "variants": tuple(variant.key for variant in test.variants),
        "weights_bp": test.weights_bp,
        "counts": CountTable.of(
            row for index, variant in enumerate(variants) for row in variant.rows(index, 5_000)
        ),
        "buckets": tuple(variant.table() for variant in variants),
        "sketches": tuple(variant.sketches() for variant in variants),
        "first_tick": START,
        "now_tick": START + MINUTES,
        "minutes_running": float(MINUTES),
        "evidence_age_seconds": 0.2,
    }
    return ABTestInputs(**{**values, **changes})


def two(seed: int = 1, units: int = 3_000, **treatment: float) -> list[Variant]:
    """A control and a treatment that differs as said."""
    random = np.random.default_rng(seed)
    return [Variant(random, units), Variant(random, units, **treatment)]
