"""Metrics of this installation, beside the built-in ones."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import Conflict, NotFound
from services.domain.metric import Metric
from services.storage.identifiers import new_id
from services.storage.tables import metrics


async def create(connection: AsyncConnection, metric: Metric) -> None:
    """Add a metric. Raises Conflict where the key is taken."""
    row = {"key": metric.key, "metric_id": new_id(), "definition": msgspec.to_builtins(metric)}
    added = insert(metrics).values(row).on_conflict_do_nothing().returning(metrics.c.key)
    if await connection.scalar(added) is None:
        raise Conflict(f"a metric {metric.key!r} exists already; change it with PUT, or take another key")


async def update(connection: AsyncConnection, metric: Metric) -> None:
    """Store another definition of the metric."""
    await connection.execute(
        sa.update(metrics)
        .where(metrics.c.key == metric.key)
        .values(definition=msgspec.to_builtins(metric), updated_at=sa.func.now())
    )


async def delete(connection: AsyncConnection, key: str) -> None:
    """Forget a metric; tests that name it keep the definition they were created with."""
    await connection.execute(sa.delete(metrics).where(metrics.c.key == key))


async def get(connection: AsyncConnection, key: str, *, lock: bool = False) -> Metric:
    """Return a metric; with ``lock`` nobody else changes it until the transaction ends."""
    query = sa.select(metrics.c.definition).where(metrics.c.key == key)
    definition = await connection.scalar(query.with_for_update() if lock else query)
    if definition is None:
        raise NotFound(f"there is no metric {key!r}; GET /v1/metrics lists them")
    return _metric(definition)


async def by_keys(connection: AsyncConnection, keys: Collection[str]) -> dict[str, Metric]:
    """Return those of the metrics that exist."""
    query = sa.select(metrics.c.definition).where(metrics.c.key.in_(keys))
    found = [_metric(definition) for definition in await connection.scalars(query)]
    return {metric.key: metric for metric in found}


async def listing(connection: AsyncConnection) -> list[Metric]:
    """Return every metric, by key."""
    query = sa.select(metrics.c.definition).order_by(metrics.c.key)
    return [_metric(definition) for definition in await connection.scalars(query)]


def _metric(definition: Any) -> Metric:
    return msgspec.convert(definition, Metric)
