"""Totals of what was counted, over the whole installation."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import gateway_progress, partition_progress


@dataclass(frozen=True, slots=True)
class CountingTotals:
    """Outcomes by what became of them. ``missing`` were given a number by a gateway and never arrived."""

    outcomes_counted: int
    duplicates_dropped: int
    records_lost: int
    dead_lettered: int
    missing: int


async def read_totals(connection: AsyncConnection) -> CountingTotals:
    """Add up every partition's and every gateway's figures."""

    def total(column: sa.Column[int]) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.coalesce(sa.func.sum(column), 0)).scalar_subquery()

    progress = partition_progress.c
    row = (
        await connection.execute(
            sa.select(
                total(progress.outcomes_counted),
                total(progress.duplicates_dropped),
                total(progress.records_lost),
                total(progress.dead_lettered),
                total(gateway_progress.c.missing),
            )
        )
    ).one()
    return CountingTotals(*(int(value) for value in row))
