"""A simulated A/B test: does a prompt that asks for concise answers cost less and satisfy as well?

Four days of a support route, Monday 2026-11-16 to Thursday, 5,000 users of whom a few write a lot. The
concise variant answers with fewer tokens, so it is cheaper and faster, and users like it a little better.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from analytics.quantiles import REPLICATES, ReplicatedSketch
from analytics.sketch import cells_of
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_segments import Segment
from services.domain.ab_test import ABTestDefinition, TestGuardrail, WeightedVariant
from services.domain.assignment import (
    ANALYSIS_BUCKETS,
    analysis_bucket,
    basis_point,
    inclusion_salt,
    split_salt,
    unit_hash,
    variant_at,
)
from services.domain.bucket_table import BucketTable
from services.domain.configuration import SegmentConfig
from services.domain.counts import WIDTH, Count, CountTable
from services.domain.metric import BUILT_IN, source_of
from services.domain.sketches import SourceSketches

EXPERIMENT_ID = UUID("0199a8c0-0000-7000-8000-00000000c0de")
STARTED_AT = datetime(2026, 11, 16, tzinfo=UTC)
FIRST_TICK = int(STARTED_AT.timestamp()) // 60
HOURS = 96
EVERYTHING = (HOURS + 48) * 60
"""A minute by which all feedback has come, some of it after the end."""
VARIANTS = ("current", "concise")
WEIGHTS_BP = (5_000, 5_000)
TRAFFIC_BP = 8_000
TIERS = ("free", "pro")

DEFINITION = ABTestDefinition(
    variants=(WeightedVariant("current", 0.5), WeightedVariant("concise", 0.5)),
    goals=("cost", "satisfaction_rate"),
    secondary=("latency_mean", "latency_p95"),
    guardrails=(TestGuardrail("error_rate", 0.0),),
    metrics=tuple(
        BUILT_IN[key] for key in ("cost", "satisfaction_rate", "latency_mean", "latency_p95", "error_rate")
    ),
    traffic_share=TRAFFIC_BP / 10_000,
    planned_duration_minutes=HOURS * 60,
    segments=(SegmentConfig("tier", "x-tier"),),
)
COLUMNS = tuple(column.key for column in DEFINITION.columns)

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Traffic:
    """Requests of the test's units in order of time; attributes of requests have the shape (requests,)."""

    units: list[str]
    variant_of: Integers  # by unit
    hash_of: list[int]  # by unit
    bucket_of: Integers  # by unit
    tier_of: Integers  # by unit
    unit: Integers
    minute: Integers
    is_first: NDArray[np.bool_]
    is_first_error: NDArray[np.bool_]
    reported_minute: Integers  # of feedback on the request; -1 without
    values: dict[str, Integers]  # by column, in the whole numbers that are summed


def simulate(seed: int = 20261116) -> Traffic:
    """Draw the test's traffic."""
    rng = np.random.default_rng(seed)
    everybody = [f"user-{number}" for number in range(1, 5_001)]
    salt = str(EXPERIMENT_ID)
    units = [unit for unit in everybody if basis_point(inclusion_salt(salt), unit) < TRAFFIC_BP]
    hashes = [unit_hash(unit) for unit in units]
    variant_of = np.array([variant_at(basis_point(split_salt(salt), unit), WEIGHTS_BP) for unit in units])
    tier_of = (rng.random(len(units)) < 0.3).astype(np.int64)
    requests = 1 + rng.geometric(1.0 / rng.lognormal(1.3, 0.7, len(units)).clip(1.0))
    unit = np.repeat(np.arange(len(units)), requests)
    minute = rng.integers(0, HOURS * 60, len(unit))
    order = np.argsort(minute, kind="stable")
    unit, minute = unit[order], minute[order]
    is_concise = variant_of[unit] == 1

    habit = rng.normal(0.0, 0.35, len(units))[unit]
    prompt = np.exp(rng.normal(6.0, 0.4, len(unit)) + habit).astype(np.int64) + 1
    length = rng.normal(5.6, 0.5, len(unit)) + 0.5 * habit + np.where(is_concise, np.log(0.82), 0.0)
    completion = np.exp(length).astype(np.int64) + 1
    first_token = np.exp(rng.normal(-1.2, 0.3, len(unit)))
    seconds = first_token + completion * 0.011 * np.exp(rng.normal(0.0, 0.2, len(unit)))
    error = (rng.random(len(unit)) < 0.009).astype(np.int64)
    pleased = rng.random(len(unit)) < 0.68 + 0.04 * is_concise + 0.4 * rng.normal(0.0, 0.3, len(units))[unit]
    reports = (rng.random(len(unit)) < 0.35) & (error == 0)
    reported = np.where(reports, minute + rng.exponential(120.0, len(unit)).astype(np.int64), -1)
    values = {
        "error": error,
        "content_filter": np.zeros(len(unit), np.int64),
        "latency": (seconds * 1e6).round().astype(np.int64),
        "log_latency": (np.log(seconds) * 1e6).round().astype(np.int64),
        "first_token": (first_token * 1e6).round().astype(np.int64),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": prompt * 150 + completion * 600,
        "yes:feedback:satisfaction": pleased.astype(np.int64) * 1_000_000,
    }
    return Traffic(
        units=units,
        variant_of=variant_of,
        hash_of=hashes,
        bucket_of=np.array([analysis_bucket(one) for one in hashes]),
        tier_of=tier_of,
        unit=unit,
        minute=minute,
        is_first=_first(unit),
        is_first_error=_first(np.where(error == 1, unit, -1)) & (error == 1),
        reported_minute=reported,
        values=values,
    )


def sums(traffic: Traffic, variant: int, tier: int | None = None, *, until: int = EVERYTHING) -> BucketTable:
    """What is summed of a variant (and tier) up to a minute of the test, as the workers sum it."""
    added = np.zeros((len(COLUMNS), 2, ANALYSIS_BUCKETS), np.int64)
    of_variant = traffic.variant_of[traffic.unit] == variant
    if tier is not None:
        of_variant &= traffic.tier_of[traffic.unit] == tier
    buckets = traffic.bucket_of[traffic.unit]
    for row, column in enumerate(COLUMNS):
        if column == "units":
            seen = of_variant & traffic.is_first & (traffic.minute < until)
            np.add.at(added[row, 0], buckets[seen], 1)
            continue
        seen = of_variant & _arrived(traffic, column, until)
        np.add.at(added[row, 0], buckets[seen], 1)
        np.add.at(added[row, 1], buckets[seen], traffic.values[column][seen])
    return BucketTable(COLUMNS, added)


def sketches(
    traffic: Traffic, variant: int, tier: int | None = None, *, until: int = EVERYTHING
) -> SourceSketches:
    """The distributions of a variant (and tier) up to a minute of the test."""
    seen = (traffic.variant_of[traffic.unit] == variant) & (traffic.minute < until)
    if tier is not None:
        seen &= traffic.tier_of[traffic.unit] == tier
    replicates = traffic.bucket_of[traffic.unit[seen]] % REPLICATES
    found = {}
    for source in ("latency", "first_token"):
        cells = cells_of(traffic.values[source][seen] / source_of(source).scale)
        found[source] = ReplicatedSketch.from_rows(replicates, cells, np.ones(len(cells), np.int64))
    return SourceSketches(found)


def counts(traffic: Traffic, *, until: int = EVERYTHING) -> CountTable:
    """The rows of experiment_counts up to a minute of the test."""
    seen = traffic.minute < until
    variant = traffic.variant_of[traffic.unit]
    error = traffic.values["error"]
    figures = {
        Count.REQUESTS: np.ones_like(error),
        Count.ERRORS: error,
        Count.FIRST_ERRORS: traffic.is_first_error,
        Count.FIRST_REQUESTS: traffic.is_first,
        Count.FIRST_REQUEST_ERRORS: traffic.is_first & (error == 1),
    }
    added = np.zeros((WIDTH, HOURS * 60, len(VARIANTS)), np.int64)
    for place, figure in figures.items():
        np.add.at(added[place], (traffic.minute[seen], variant[seen]), figure[seen].astype(np.int64))
    minute, index = np.nonzero(added[Count.REQUESTS])
    cells = added[:, minute, index]
    cells[Count.TICK] = FIRST_TICK + minute
    cells[Count.SHARE_BP] = WEIGHTS_BP[1]
    cells[Count.ROLE] = cells[Count.VARIANT] = index
    return CountTable(cells)


def inputs(traffic: Traffic, *, until: int = EVERYTHING) -> ABTestInputs:
    """What an evaluation at a minute of the test depends on."""
    return ABTestInputs(
        definition=DEFINITION,
        phase=1,
        variants=VARIANTS,
        weights_bp=WEIGHTS_BP,
        counts=counts(traffic, until=until),
        buckets=tuple(sums(traffic, index, until=until) for index in range(len(VARIANTS))),
        sketches=tuple(sketches(traffic, index, until=until) for index in range(len(VARIANTS))),
        first_tick=FIRST_TICK,
        now_tick=FIRST_TICK + until,
        minutes_running=float(until),
        evidence_age_seconds=1.0,
    )


def segments(traffic: Traffic, *, until: int = EVERYTHING) -> list[Segment]:
    """What was summed by tier up to a minute of the test."""
    return [
        Segment(
            f"tier={tier}",
            tuple(sums(traffic, index, place, until=until) for index in range(len(VARIANTS))),
            tuple(sketches(traffic, index, place, until=until) for index in range(len(VARIANTS))),
        )
        for place, tier in enumerate(TIERS)
    ]


def _arrived(traffic: Traffic, column: str, until: int) -> NDArray[np.bool_]:
    if column.startswith("yes:feedback:"):
        return (traffic.reported_minute >= 0) & (traffic.reported_minute < until)
    return traffic.minute < until


def _first(unit: Integers) -> NDArray[np.bool_]:
    """Which requests are the first of their unit, in order."""
    _, places = np.unique(unit, return_index=True)
    first = np.zeros(len(unit), np.bool_)
    first[places] = True
    return first
