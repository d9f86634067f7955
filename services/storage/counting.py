"""Writing counts: everything a flush changes, in one transaction, guarded by compare-and-set.

Each table is written by one statement over arrays, however many rows there are. The shared rows of
``experiment_counts`` and ``route_counts`` come last and in order: they are locked for the shortest time, and
two workers never wait for each other in a circle.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage import arrays
from services.storage.arrays import insert
from services.storage.claims import Fenced
from services.storage.exposures import NO_EXPOSURES, Exposures, copy_exposures
from services.storage.unit_pieces import NO_PIECES, UnitPieces, write_units
from services.storage.usage import KeyUse, UsageCount, add_usage, mark_used

REFUSED_CLASSES = frozenset({"22", "23", "54"})
"""SQLSTATE classes of values that Postgres will never take: data, integrity, program limit."""


class Advance(NamedTuple):
    """How far a partition gets with this flush.

    ``caught_up_at`` is a ``time.monotonic`` at which ``to_offset`` was the end of the log, or None.
    """

    partition: int
    epoch: int
    from_offset: int
    to_offset: int
    tick: int
    last_timestamp_ms: int | None
    last_crc: int | None
    outcomes_counted: int
    duplicates_dropped: int
    dead_lettered: int
    caught_up_at: float | None


class GatewayAdvance(NamedTuple):
    """How far a gateway incarnation's sequence gets in a partition."""

    partition: int
    gateway: UUID
    next_sequence: int
    outcomes_counted: int
    duplicates_dropped: int
    missing: int


class ExperimentCount(NamedTuple):
    """What is added to a row of ``experiment_counts``."""

    experiment_id: UUID
    phase: int
    tick: int
    treatment_share_bp: int
    role: str
    variant_index: int
    requests: int
    errors: int
    first_errors: int
    content_filters: int
    first_content_filters: int
    first_requests: int
    first_request_errors: int
    latency_us_sum: int
    latency_below_p50: int = 0
    latency_p50_to_p75: int = 0
    latency_p75_to_p90: int = 0
    latency_p90_to_p95: int = 0
    latency_p95_to_p99: int = 0
    latency_above_p99: int = 0


class RouteCount(NamedTuple):
    """What is added to a row of ``route_counts``."""

    route_key: str
    variant_key: str
    tick: int
    requests: int
    errors: int
    content_filters: int
    latency_us_sum: int
    prompt_tokens: int
    completion_tokens: int


QualityKind = Literal[
    "multiply_exposed",
    "late_outcomes",
    "late_feedback",
    "duplicate_feedback",
    "feedback",
    "unread_feedback",
    "unreadable_feedback",
]


class QualityCount(NamedTuple):
    """What is added to a row of ``data_quality_counts``."""

    experiment_id: UUID
    phase: int
    kind: QualityKind
    n: int


@dataclass(slots=True)
class Flush:
    """Everything that one transaction writes."""

    topic: str
    advances: list[Advance] = field(default_factory=list)
    gateways: list[GatewayAdvance] = field(default_factory=list)
    units: UnitPieces = NO_PIECES
    exposures: Exposures = NO_EXPOSURES
    experiments: list[ExperimentCount] = field(default_factory=list)
    routes: list[RouteCount] = field(default_factory=list)
    quality: list[QualityCount] = field(default_factory=list)
    usage: list[UsageCount] = field(default_factory=list)
    keys_used: list[KeyUse] = field(default_factory=list)


async def write(connection: AsyncConnection, flush: Flush) -> None:
    """Write a flush. Raises Fenced where a partition is no longer ours at that offset."""
    await _advance(connection, flush)
    await write_values(connection, flush)


async def write_values(connection: AsyncConnection, flush: Flush) -> None:
    """Write all of a flush but the partitions' progress."""
    await insert(connection, _GATEWAYS, flush.gateways, topic=flush.topic)
    await write_units(connection, flush.topic, flush.units)
    await copy_exposures(connection, flush.exposures)
    await add_usage(connection, flush.usage)
    await insert(connection, _EXPERIMENTS, sorted(flush.experiments))
    await insert(connection, _ROUTES, sorted(flush.routes))
    await add_quality(connection, flush.quality)
    await mark_used(connection, flush.keys_used)


async def add_quality(connection: AsyncConnection, counts: Sequence[QualityCount]) -> None:
    """Add to what was noticed about the data, always in the same order: nobody waits in a circle."""
    await insert(connection, _QUALITY, sorted(counts))


def is_refusal(error: Exception) -> bool:
    """Say whether Postgres (or its client) refused a value, so that trying again cannot help."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return False
    if cause.sqlstate is None:
        # The client refuses by itself, for example text with a NUL byte.
        return isinstance(cause, psycopg.DataError)
    return cause.sqlstate[:2] in REFUSED_CLASSES


_ADVANCE = sa.text("""
    UPDATE partition_progress AS p SET
        next_offset = d.to_offset,
        tick = d.tick,
        last_timestamp_ms = coalesce(d.last_timestamp_ms, p.last_timestamp_ms),
        last_crc = coalesce(d.last_crc, p.last_crc),
        outcomes_counted = p.outcomes_counted + d.outcomes_counted,
        duplicates_dropped = p.duplicates_dropped + d.duplicates_dropped,
        dead_lettered = p.dead_lettered + d.dead_lettered,
        caught_up_at = greatest(p.caught_up_at, now() - make_interval(secs => d.caught_up_age))
    FROM unnest(
        CAST(:c0 AS int[]), CAST(:c1 AS bigint[]), CAST(:c2 AS bigint[]), CAST(:c3 AS bigint[]),
        CAST(:c4 AS bigint[]), CAST(:c5 AS bigint[]), CAST(:c6 AS bigint[]), CAST(:c7 AS bigint[]),
        CAST(:c8 AS bigint[]), CAST(:c9 AS bigint[]), CAST(:c10 AS float8[])
    ) AS d(partition, epoch, from_offset, to_offset, tick, last_timestamp_ms, last_crc,
           outcomes_counted, duplicates_dropped, dead_lettered, caught_up_age)
    WHERE p.topic = :topic AND p.partition = d.partition
      AND p.epoch = d.epoch AND p.next_offset = d.from_offset
""")

_GATEWAYS = sa.text("""
    INSERT INTO gateway_progress AS g
        (topic, partition, gateway, next_sequence, outcomes_counted, duplicates_dropped, missing)
    SELECT :topic, * FROM unnest(
        CAST(:c0 AS int[]), CAST(:c1 AS uuid[]), CAST(:c2 AS bigint[]), CAST(:c3 AS bigint[]),
        CAST(:c4 AS bigint[]), CAST(:c5 AS bigint[]))
    ON CONFLICT (topic, partition, gateway) DO UPDATE SET
        next_sequence = excluded.next_sequence,
        outcomes_counted = g.outcomes_counted + excluded.outcomes_counted,
        duplicates_dropped = g.duplicates_dropped + excluded.duplicates_dropped,
        missing = g.missing + excluded.missing,
        seen_at = now()
""")

_EXPERIMENT_KEY = ("experiment_id", "phase", "tick", "treatment_share_bp", "role", "variant_index")
_EXPERIMENT_SUMS = ExperimentCount._fields[len(_EXPERIMENT_KEY) :]
_EXPERIMENT_TYPES = ("uuid", "int", "bigint", "int", "text", "smallint", *["bigint"] * len(_EXPERIMENT_SUMS))

# Every name is one of our own columns.
_EXPERIMENTS = sa.text(f"""
    INSERT INTO experiment_counts AS c ({", ".join(ExperimentCount._fields)})
    SELECT * FROM unnest(
        {", ".join(f"CAST(:c{index} AS {kind}[])" for index, kind in enumerate(_EXPERIMENT_TYPES))})
    ON CONFLICT ({", ".join(_EXPERIMENT_KEY)}) DO UPDATE SET
        {", ".join(f"{name} = c.{name} + excluded.{name}" for name in _EXPERIMENT_SUMS)},
        stamp = pg_current_xact_id()
""")  # noqa: S608

_ROUTES = sa.text("""
    INSERT INTO route_counts AS c
        (route_key, variant_key, tick, requests, errors, content_filters, latency_us_sum,
         prompt_tokens, completion_tokens)
    SELECT * FROM unnest(
        CAST(:c0 AS text[]), CAST(:c1 AS text[]), CAST(:c2 AS bigint[]), CAST(:c3 AS bigint[]),
        CAST(:c4 AS bigint[]), CAST(:c5 AS bigint[]), CAST(:c6 AS bigint[]), CAST(:c7 AS bigint[]),
        CAST(:c8 AS bigint[]))
    ON CONFLICT (route_key, variant_key, tick) DO UPDATE SET
        requests = c.requests + excluded.requests,
        errors = c.errors + excluded.errors,
        content_filters = c.content_filters + excluded.content_filters,
        latency_us_sum = c.latency_us_sum + excluded.latency_us_sum,
        prompt_tokens = c.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = c.completion_tokens + excluded.completion_tokens
""")

_QUALITY = sa.text("""
    INSERT INTO data_quality_counts AS c (experiment_id, phase, kind, n)
    SELECT * FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS int[]), CAST(:c2 AS text[]), CAST(:c3 AS bigint[]))
    ON CONFLICT (experiment_id, phase, kind) DO UPDATE SET n = c.n + excluded.n
""")


async def _advance(connection: AsyncConnection, flush: Flush) -> None:
    now = time.monotonic()
    rows = [
        advance._replace(caught_up_at=None if advance.caught_up_at is None else now - advance.caught_up_at)
        for advance in flush.advances
    ]
    result = await connection.execute(_ADVANCE, {"topic": flush.topic, **arrays.columns(rows)})
    if result.rowcount != len(rows):
        raise Fenced(
            f"{len(rows) - result.rowcount} of {len(rows)} partitions have been claimed by another worker"
        )
