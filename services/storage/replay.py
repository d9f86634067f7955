"""Holding the inputs stored with a decision against the tables they were read from.

Minutes that were closed when it was decided must be the same now. Minutes still open then may have been
counted into since, so they may only have grown; so may offsets and the sums by analysis bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.bucket_table import SHARE, WHOLE, BucketTable, share_segment
from services.domain.counts import Count
from services.domain.decision import Decision
from services.storage import buckets, count_cache
from services.storage.buckets import BucketCache
from services.storage.count_cache import CountCache
from services.storage.tables import partition_progress

MINUTE = 60
CLOCKS_APART_MINUTES = 1
"""By how much the broker's clock, which counts the minutes, may be off the database's."""

RowKey = tuple[int, int, int]
"""(tick, treatment share, variant's place)."""


@dataclass(frozen=True, slots=True)
class TableCheck:
    """One comparison with the tables. ``problems`` is empty where they agree."""

    what: str
    compared: int
    problems: tuple[str, ...]


async def compare_with_tables(
    connection: AsyncConnection, decision: Decision, *, topic: str
) -> list[TableCheck]:
    """Compare a decision's inputs with the tables, in one snapshot (REPEATABLE READ)."""
    counts, sums = CountCache(decision.phase), BucketCache(decision.phase)
    await count_cache.refresh(connection, decision.experiment_id, counts)
    await buckets.refresh(connection, decision.experiment_id, sums)
    closed, opened = _compare_counts(decision, counts)
    return [
        closed,
        opened,
        await _compare_offsets(connection, decision, topic),
        _compare_buckets(decision, sums),
    ]


def _compare_counts(decision: Decision, cache: CountCache) -> tuple[TableCheck, TableCheck]:
    stored = {_key(row): list(row) for row in decision.inputs["counts"]}
    now = {_key(row): row for row in cache.table.to_lists()}
    closed_before = _closed_before(decision)
    closed = {key for key in stored if key[0] < closed_before}
    came_late = {key for key in now.keys() - stored.keys() if key[0] < closed_before}
    changed = {key for key in closed if now.get(key, [])[: len(stored[key])] != stored[key]}
    shrunk = {
        key
        for key in stored.keys() - closed
        if any(then > found for then, found in zip(stored[key], now.get(key, [-1]), strict=False))
    }
    return (
        TableCheck("closed minutes", len(closed), _problems(came_late | changed, stored, now)),
        TableCheck("open minutes", len(stored) - len(closed), _problems(shrunk, stored, now)),
    )


def _problems(
    keys: Iterable[RowKey], stored: Mapping[RowKey, list[int]], now: Mapping[RowKey, list[int]]
) -> tuple[str, ...]:
    return tuple(
        f"minute {key[0]} at share {key[1]} of variant {key[2]} was {stored.get(key, 'not there')}, "
        f"is {now.get(key, 'not there')}"
        for key in sorted(keys)
    )


def _closed_before(decision: Decision) -> int:
    """The first minute that may have been open: everything older was counted to its end by then."""
    age = float(decision.inputs["evidence_age_seconds"])
    return int(decision.decided_at.timestamp() - age) // MINUTE - CLOCKS_APART_MINUTES


def _key(row: list[int]) -> RowKey:
    variant = row[Count.VARIANT] if len(row) > Count.VARIANT and row[Count.VARIANT] >= 0 else row[Count.ROLE]
    return row[Count.TICK], row[Count.SHARE_BP], variant


async def _compare_offsets(connection: AsyncConnection, decision: Decision, topic: str) -> TableCheck:
    progress = partition_progress.c
    rows = await connection.execute(
        sa.select(progress.partition, progress.next_offset).where(progress.topic == topic)
    )
    now = {str(row.partition): row.next_offset for row in rows}
    stored: Mapping[str, int] = decision.inputs.get("offsets", {})
    problems = [
        f"partition {partition} was counted up to {offset}, is at {now.get(partition, 'nothing')} now"
        for partition, offset in sorted(stored.items())
        if now.get(partition, -1) < offset
    ]
    return TableCheck("offsets", len(stored), tuple(problems))


def _compare_buckets(decision: Decision, cache: BucketCache) -> TableCheck:
    pairs = list(_bucket_pairs(decision.inputs, cache))
    problems = []
    for name, stored, now in pairs:
        for column in stored.columns:
            was = stored.n(column)
            found = now.n(column) if now.has(column) else np.zeros_like(was)
            if (lost := int(np.count_nonzero(found < was))) > 0:
                problems.append(f"{column} of {name} has fewer values than then in {lost} analysis buckets")
    return TableCheck("sums by analysis bucket", len(pairs), tuple(problems))


def _bucket_pairs(
    inputs: Mapping[str, Any], cache: BucketCache
) -> Iterable[tuple[str, BucketTable, BucketTable]]:
    """Name, stored sums and present sums, of a canary's steps or a test's variants."""
    by_share = any(segment.startswith(SHARE) for segment in cache.segments)
    for place, stored in enumerate(inputs.get("buckets", [])):
        if "share_bp" not in stored:
            yield f"variant {place}", BucketTable.unpack(stored), cache.variant(place)
            continue
        segment = share_segment(stored["share_bp"]) if by_share else WHOLE
        for index, role in enumerate(("control", "treatment")):
            name = f"the {role} at share {stored['share_bp']}"
            yield name, BucketTable.unpack(stored[role]), cache.variant(index, segment)
