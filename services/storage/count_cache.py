"""The counts of one experiment and phase as they were read so far, kept as columns.

Rows of ``experiment_counts`` are stamped with the transaction that wrote them last. A reader remembers the
oldest transaction that was still under way when it read, and next time reads only rows stamped since: what an
experiment counted in its past is read once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.counts import WIDTH, Count, CountRow, CountTable, Integers
from services.domain.events import Role
from services.storage.tables import experiment_counts

CountKey = tuple[int, int, int, int]
"""(tick, treatment share, role, variant's place)."""

_ROLES = {role.label: int(role) for role in Role}
_FIELDS = [field.name for field in msgspec.structs.fields(CountRow)]
_COLUMNS = [experiment_counts.c[name] for name in _FIELDS]


def _room() -> Integers:
    return np.zeros((WIDTH, 64), np.int64)


@dataclass(slots=True)
class CountCache:
    """The counts of one experiment and phase."""

    phase: int
    read_up_to: str | None = None
    """Transactions older than this one can write nothing any more."""
    _cells: Integers = field(default_factory=_room)
    _places: dict[CountKey, int] = field(default_factory=dict)

    @property
    def table(self) -> CountTable:
        """The counts as they are now."""
        return CountTable(self._cells[:, : len(self._places)].copy())

    def put(self, row: list[int]) -> None:
        """Add a row, or replace the one of the same tick, share and variant."""
        key = (row[Count.TICK], row[Count.SHARE_BP], row[Count.ROLE], row[Count.VARIANT])
        place = self._places.setdefault(key, len(self._places))
        if place == self._cells.shape[1]:
            self._cells = np.concatenate([self._cells, np.zeros_like(self._cells)], axis=1)
        self._cells[:, place] = row


async def refresh(
    connection: AsyncConnection, experiment_id: UUID, cache: CountCache
) -> tuple[datetime, bool]:
    """Bring the cache up to date with the snapshot; return the database's time, and whether it read rows."""
    counts = experiment_counts.c
    statement = sa.select(*_COLUMNS).where(counts.experiment_id == experiment_id, counts.phase == cache.phase)
    if cache.read_up_to is not None:
        statement = statement.where(
            counts.stamp >= sa.text("CAST(:read_up_to AS xid8)").bindparams(read_up_to=cache.read_up_to)
        )
    rows = (await connection.execute(statement)).all()
    for row in rows:
        cache.put(_numbers(row))
    horizon = sa.text("SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text), now()")
    cache.read_up_to, now = (await connection.execute(horizon)).one()
    return now, bool(rows)


def _numbers(row: sa.Row[Any]) -> list[int]:
    numbers = list(row)
    numbers[Count.ROLE] = _ROLES[numbers[Count.ROLE]]
    return numbers
