"""The newest evaluation of each experiment, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import evaluations


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """An evaluation: the rule that spoke, its sentence, and all the figures."""

    phase: int
    rule: str
    sentence: str
    body: dict[str, Any]
    evaluated_at: datetime


async def newest(connection: AsyncConnection, experiment_id: UUID) -> StoredEvaluation | None:
    """Return the experiment's newest evaluation, or None before its first."""
    query = sa.select(evaluations).where(evaluations.c.experiment_id == experiment_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return StoredEvaluation(row.phase, row.rule, row.sentence, row.body, row.evaluated_at)
