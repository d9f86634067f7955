"""What was counted in one phase of an experiment: totals by variant, and what was noticed about the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import data_quality_counts, experiment_counts


@dataclass(frozen=True, slots=True)
class VariantTotals:
    """What a variant did. ``units`` are those seen for the first time.

    ``latency_us`` is of the ``completed`` requests, whose answer arrived whole: how long a failure took is no
    time to an answer.
    """

    units: int = 0
    requests: int = 0
    errors: int = 0
    completed: int = 0
    latency_us: int = 0

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed; None before the first."""
        return self.errors / self.requests if self.requests else None

    @property
    def latency_mean_seconds(self) -> float | None:
        """The mean time to the whole answer; None before the first."""
        return self.latency_us / self.completed / 1e6 if self.completed else None


async def by_variant(
    connection: AsyncConnection,
    experiment_id: UUID,
    *,
    phase: int,
    first_tick: int | None = None,
) -> Mapping[int, VariantTotals]:
    """Return the totals by the variant's place in the definition, of the whole phase or of its last minutes.

    Latencies are not among them: by the minute only those of all requests are counted.
    """
    counts = experiment_counts.c
    query = (
        sa.select(
            counts.variant_index,
            sa.func.sum(counts.first_requests),
            sa.func.sum(counts.requests),
            sa.func.sum(counts.errors),
        )
        .where(counts.experiment_id == experiment_id, counts.phase == phase)
        .group_by(counts.variant_index)
    )
    if first_tick is not None:
        query = query.where(counts.tick >= first_tick)
    rows = await connection.execute(query)
    return {index: VariantTotals(*map(int, sums)) for index, *sums in rows}


async def summed(
    connection: AsyncConnection, experiment_id: UUID, *, phase: int, segment: str
) -> Mapping[int, VariantTotals]:
    """Return the totals that the bucket sums hold, of everything or of a segment. They lag a few seconds."""
    asked = {"experiment_id": experiment_id, "phase": phase, "segment": segment}
    rows = await connection.execute(_SUMMED, asked)
    return {index: VariantTotals(*map(int, sums)) for index, *sums in rows}


_SUMMED = sa.text("""
    SELECT m.variant_index,
        coalesce(sum(m.n) FILTER (WHERE m.column_key = 'units'), 0),
        coalesce(sum(m.n) FILTER (WHERE m.column_key = 'error'), 0),
        coalesce(sum(m.raw_total) FILTER (WHERE m.column_key = 'error'), 0),
        coalesce(sum(m.n) FILTER (WHERE m.column_key = 'latency'), 0),
        coalesce(sum(m.raw_total) FILTER (WHERE m.column_key = 'latency'), 0)
    FROM metric_buckets AS m
    WHERE m.experiment_id = :experiment_id AND m.phase = :phase AND m.segment = :segment
        AND m.column_key IN ('units', 'error', 'latency')
    GROUP BY m.variant_index
""")


async def noticed(connection: AsyncConnection, experiment_id: UUID, *, phase: int) -> Mapping[str, int]:
    """Return how often each kind of oddity was met in the phase's data."""
    quality = data_quality_counts.c
    query = sa.select(quality.kind, quality.n).where(
        quality.experiment_id == experiment_id, quality.phase == phase
    )
    return {kind: n for kind, n in await connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy
