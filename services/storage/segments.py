"""The values by which an experiment's results are shown: the first few of each attribute, for good.

A value is registered before its first use or never, and none is ever removed. So whether a value has a
segment of its own is the same for every partition, and for whoever counts the same records again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.ab_test import MAX_SEGMENT_VALUES
from services.storage.tables import segment_values


class SegmentValue(NamedTuple):
    """A value of an attribute in an experiment."""

    experiment_id: UUID
    attribute: str
    value: str


async def load(connection: AsyncConnection, experiment_ids: Collection[UUID]) -> set[SegmentValue]:
    """Return the values that are registered for these experiments."""
    if not experiment_ids:
        return set()
    columns = segment_values.c
    rows = await connection.execute(
        sa.select(columns.experiment_id, columns.attribute, columns.value).where(
            columns.experiment_id.in_(experiment_ids)
        )
    )
    return {SegmentValue(*row) for row in rows}


async def register(
    connection: AsyncConnection, experiment_id: UUID, attribute: str, values: Collection[str]
) -> set[str]:
    """Register as many of the values as there is room for; return every value that is registered now.

    One at a time for each experiment and attribute, until the transaction ends.
    """
    await connection.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"headgate segments {experiment_id} {attribute}"},
    )
    found = {one.value for one in await load(connection, [experiment_id]) if one.attribute == attribute}
    added = sorted(set(values) - found)[: max(MAX_SEGMENT_VALUES - len(found), 0)]
    if added:
        rows = [{"experiment_id": experiment_id, "attribute": attribute, "value": value} for value in added]
        await connection.execute(pg.insert(segment_values).values(rows))
    return found | set(added)
