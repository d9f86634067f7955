"""Comparisons of shadows: written so that repeats change nothing, summed by analysis bucket, listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.events import Comparison, Likeness, ShadowCoverage, Side
from services.domain.shadow_report import SUMMED, ShadowSums
from services.domain.status import ERROR_STATUSES, OutcomeStatus
from services.storage.tables import comparison_texts, comparisons, shadow_coverage, shadow_sums

SAMPLED, COMPARED, FAILED, SHED, COST = "sampled", "compared", "failed", "shed_", "cost_nanos"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPIRED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A comparison with the texts, as long as they are kept."""

    comparison: Comparison
    texts: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the sampled requests, over all gateways. ``shed`` is by reason."""

    sampled: int
    compared: int
    failed: int
    shed: Mapping[str, int]
    cost_nanos: int

    @property
    def under_way(self) -> int:
        """Sampled, and not yet done with; or lost with a gateway that was killed."""
        return self.sampled - self.compared - self.failed - sum(self.shed.values())


async def add(connection: AsyncConnection, batch: Sequence[Comparison]) -> None:
    """Store comparisons; those that are stored already stay as they are."""
    if not batch:
        return
    rows = [_row(one) for one in batch]
    await connection.execute(insert(comparisons).on_conflict_do_nothing(), rows)
    texts = [_texts(one, one.texts) for one in batch if one.texts is not None]
    if texts:
        await connection.execute(insert(comparison_texts).on_conflict_do_nothing(), texts)


async def add_coverage(connection: AsyncConnection, gateway: UUID, batch: Sequence[ShadowCoverage]) -> None:
    """Store what a gateway counted since it started; older counts change nothing."""
    highest: dict[tuple[UUID, int, str], int] = {}
    for one in batch:
        for kind, n in _kinds(one).items():
            key = one.experiment_id, one.phase, kind
            highest[key] = max(n, highest.get(key, 0))
    if not highest:
        return
    statement = insert(shadow_coverage)
    raised = statement.on_conflict_do_update(
        index_elements=list(shadow_coverage.primary_key),
        set_={"n": statement.excluded.n, "seen_at": sa.func.now()},
        where=shadow_coverage.c.n < statement.excluded.n,
    )
    rows = [
        {"experiment_id": experiment_id, "phase": phase, "gateway": gateway, "kind": kind, "n": n}
        # In one order everywhere, so that two workers never wait for each other.
        for (experiment_id, phase, kind), n in sorted(highest.items())
    ]
    await connection.execute(raised, rows)


async def forget_expired_texts(connection: AsyncConnection) -> int:
    """Delete texts whose time is over; return how many, at most a few thousand at once."""
    texts = comparison_texts.c
    expired = sa.select(texts.comparison_id).where(texts.expires_at <= sa.func.now()).limit(_EXPIRED_AT_ONCE)
    gone = await connection.execute(sa.delete(comparison_texts).where(texts.comparison_id.in_(expired)))
    return gone.rowcount


async def covered(connection: AsyncConnection, experiment_id: UUID, phase: int) -> Coverage:
    """Return what became of the requests sampled in a phase."""
    kinds = shadow_coverage.c
    query = (
        sa.select(kinds.kind, sa.func.sum(kinds.n))
        .where(kinds.experiment_id == experiment_id, kinds.phase == phase)
        .group_by(kinds.kind)
    )
    found = {kind: int(n) for kind, n in await connection.execute(query)}
    shed = {kind.removeprefix(SHED): n for kind, n in sorted(found.items()) if kind.startswith(SHED)}
    sampled, compared, failed, cost = (found.get(kind, 0) for kind in (SAMPLED, COMPARED, FAILED, COST))
    return Coverage(sampled, compared, failed, shed, cost)


async def summed(
    connection: AsyncConnection, experiment_id: UUID, phase: int, *, similar_from: float
) -> ShadowSums:
    """Return the sums of a phase's comparisons by analysis bucket, also where those are deleted."""
    kept = await _kept_sums(connection, experiment_id, phase)
    return kept or await _sums_of_rows(connection, experiment_id, phase, similar_from)


async def _kept_sums(connection: AsyncConnection, experiment_id: UUID, phase: int) -> ShadowSums | None:
    kept = shadow_sums.c
    query = sa.select(kept.bucket, kept.sums).where(kept.experiment_id == experiment_id, kept.phase == phase)
    found = (await connection.execute(query)).all()
    if not found:
        return None
    return ShadowSums.of_rows([[bucket, *(sums.get(name, 0) for name in SUMMED)] for bucket, sums in found])


async def _sums_of_rows(
    connection: AsyncConnection, experiment_id: UUID, phase: int, similar_from: float
) -> ShadowSums:
    row = comparisons.c
    # The ten highest bits of the hash, as in services.domain.assignment.analysis_bucket.
    bucket = sa.literal_column("(unit_hash >> 54) & 1023", sa.BigInteger)
    sums = _sums(similar_from)
    query = (
        sa.select(bucket, *(sums[name] for name in SUMMED))
        .where(row.experiment_id == experiment_id, row.phase == phase)
        .group_by(bucket)
    )
    return ShadowSums.of_rows(
        [[float(value or 0) for value in one] for one in await connection.execute(query)]
    )


async def newest(
    connection: AsyncConnection, experiment_id: UUID, phase: int, *, limit: int
) -> list[StoredComparison]:
    """Return the newest comparisons of a phase. A text that has expired is not shown, deleted or not."""
    row, texts = comparisons.c, comparison_texts.c
    kept = (texts.comparison_id == row.comparison_id) & (texts.expires_at > sa.func.now())
    query = (
        sa.select(comparisons, texts.production, texts.shadow)
        .outerjoin(comparison_texts, kept)
        .where(row.experiment_id == experiment_id, row.phase == phase)
        .order_by(row.occurred_at.desc(), row.comparison_id)
        .limit(limit)
    )
    return [_stored(one) for one in await connection.execute(query)]


def _sums(similar_from: float) -> dict[str, sa.ColumnElement[Any]]:
    row = comparisons.c
    compared = row.is_exact.is_not(None)
    both_priced = compared & row.production_cost_nanos.is_not(None) & row.shadow_cost_nanos.is_not(None)
    tokens = row.production_completion_tokens, row.shadow_completion_tokens
    both_counted = compared & tokens[0].is_not(None) & tokens[1].is_not(None)

    def count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.count().filter(condition)

    def total(column: sa.ColumnElement[Any], condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.sum(column).filter(condition)

    return {
        "mirrored": sa.func.count(),
        "production_errors": count(row.production_status.in_(ERROR_STATUSES)),
        "shadow_errors": count(row.shadow_status.in_(ERROR_STATUSES)),
        "compared": count(compared),
        "exact": count(row.is_exact),
        "normalised": count(row.is_normalised),
        "similar": count(row.similarity >= similar_from),
        "similarity": total(row.similarity, compared),
        "with_tool_calls": count(row.tool_calls_match.is_not(None)),
        "tool_calls_match": count(row.tool_calls_match),
        "production_latency_us": total(row.production_latency_us, compared),
        "shadow_latency_us": total(row.shadow_latency_us, compared),
        "shadow_faster": count(compared & (row.shadow_latency_us < row.production_latency_us)),
        "counted": count(both_counted),
        "production_tokens": total(tokens[0], both_counted),
        "shadow_tokens": total(tokens[1], both_counted),
        "priced": count(both_priced),
        "production_cost_nanos": total(row.production_cost_nanos, both_priced),
        "shadow_cost_nanos": total(row.shadow_cost_nanos, both_priced),
    }


def _row(one: Comparison) -> dict[str, Any]:
    sides = {
        f"{name}_{field.removesuffix('_key')}": value
        for name, side in (("production", one.production), ("shadow", one.shadow))
        for field, value in msgspec.structs.asdict(side).items()
    }
    likeness = one.likeness
    return sides | {
        "comparison_id": one.comparison_id,
        "experiment_id": one.experiment_id,
        "phase": one.phase,
        "route_key": one.route_key,
        "unit_hash": _signed(one.unit_hash),
        "occurred_at": _EPOCH + timedelta(microseconds=one.occurred_at_us),
        "streamed": one.streamed,
        "is_exact": None if likeness is None else likeness.exact,
        "is_normalised": None if likeness is None else likeness.normalised,
        "similarity": None if likeness is None else likeness.similarity,
        "tool_calls_match": None if likeness is None else likeness.tool_calls,
    }


def _texts(one: Comparison, texts: tuple[str, str]) -> dict[str, Any]:
    # Postgres cannot store NUL.
    production, shadow = (text.replace("\x00", "�") for text in texts)
    occurred_at = _EPOCH + timedelta(microseconds=one.occurred_at_us)
    return {
        "comparison_id": one.comparison_id,
        "production": production,
        "shadow": shadow,
        "expires_at": occurred_at + timedelta(days=one.text_days),
    }


def _kinds(one: ShadowCoverage) -> dict[str, int]:
    shed = {f"{SHED}{reason}": n for reason, n in one.shed.items()}
    counted = {SAMPLED: one.sampled, COMPARED: one.compared, FAILED: one.failed, COST: one.cost_nanos}
    return counted | shed


def _signed(unit_hash: int) -> int:
    return unit_hash - (1 << 64) if unit_hash >= 1 << 63 else unit_hash


def _stored(row: sa.Row[Any]) -> StoredComparison:
    likeness = None
    if row.is_exact is not None:
        likeness = Likeness(row.is_exact, row.is_normalised, row.similarity, row.tool_calls_match)
    comparison = Comparison(
        comparison_id=row.comparison_id,
        experiment_id=row.experiment_id,
        phase=row.phase,
        route_key=row.route_key,
        unit_hash=row.unit_hash % (1 << 64),
        occurred_at_us=(row.occurred_at - _EPOCH) // timedelta(microseconds=1),
        streamed=row.streamed,
        production=_side(row, "production"),
        shadow=_side(row, "shadow"),
        likeness=likeness,
    )
    return StoredComparison(comparison, None if row.production is None else (row.production, row.shadow))


def _side(row: sa.Row[Any], name: str) -> Side:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Side(
        found[f"{name}_variant"],
        OutcomeStatus(found[f"{name}_status"]),
        *(
            found[f"{name}_{field}"]
            for field in (
                "http_status",
                "latency_us",
                "first_token_us",
                "prompt_tokens",
                "completion_tokens",
                "cost_nanos",
            )
        ),
    )
