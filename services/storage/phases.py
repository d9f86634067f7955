"""The phases of experiments: when each began and ended, and by which split its units were randomised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.allocation import TestSplit
from services.storage.tables import experiment_phases


class PhaseSplit(msgspec.Struct, frozen=True):
    """The split of one phase of an A/B test, while it is not paused."""

    variants: tuple[str, ...]
    weights_bp: tuple[int, ...]
    traffic_bp: int


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase. ``split`` is None for a canary, whose ramp is one phase."""

    phase: int
    split: PhaseSplit | None
    started_at: datetime
    ended_at: datetime | None


async def of_experiment(connection: AsyncConnection, experiment_id: UUID) -> list[Phase]:
    """Return the experiment's phases, in order; none before it was started."""
    query = (
        sa.select(experiment_phases)
        .where(experiment_phases.c.experiment_id == experiment_id)
        .order_by(experiment_phases.c.phase)
    )
    return [
        Phase(
            row.phase,
            None if row.split is None else msgspec.convert(row.split, PhaseSplit),
            row.started_at,
            row.ended_at,
        )
        for row in await connection.execute(query)
    ]


def ending(experiment_id: UUID) -> sa.CTE:
    """Return the part of a statement that ends the phase under way, if there is one."""
    phases = experiment_phases.c
    return (
        sa.update(experiment_phases)
        .where(phases.experiment_id == experiment_id, phases.ended_at.is_(None))
        .values(ended_at=sa.func.now())
        .returning(phases.phase)
        .cte("ended")
    )


def beginning(moved: sa.CTE, split: TestSplit | None) -> sa.Insert:
    """Return the statement that begins the phase which ``moved`` returns an experiment to be in."""
    body = sa.literal(None if split is None else _body(split), experiment_phases.c.split.type)
    row = sa.select(moved.c.experiment_id, moved.c.phase, body)
    return sa.insert(experiment_phases).from_select(["experiment_id", "phase", "split"], row)


def _body(split: TestSplit) -> Any:
    return msgspec.to_builtins(PhaseSplit(split.variants, split.weights_bp, split.traffic_bp))
