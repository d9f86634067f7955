"""Writing results: the newest ones replaced in one transaction, the past kept hourly and at each occasion.

``results_progress`` says up to which transactions the results of a phase contain what was counted. A phase
that is over and was counted into since, by feedback that came hours later, is found by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.results import ResultRow
from services.storage.tables import experiment_results, experiment_results_history, results_progress

Occasion = Literal["hour", "decision", "end"]

LATE_DAYS = 30
"""For how long after its end the results of a phase follow what still comes in."""
EARLY_MINUTES = (1, 5, 15, 30)
"""When the results of a phase's first hour are kept, counted from its start."""
SETTLING_SECONDS = 60
"""For how long after the end of a phase the results kept for its end follow the last sums."""


@dataclass(frozen=True, slots=True)
class PhaseKey:
    """A phase of an experiment. ``experiment`` is its key, for people who read the table."""

    experiment_id: UUID
    experiment: str
    phase: int


async def replace(
    connection: AsyncConnection,
    key: PhaseKey,
    rows: Sequence[ResultRow],
    *,
    read_up_to: str | None,
    is_over: bool,
) -> None:
    """Replace the results of a phase.

    ``read_up_to`` is the oldest transaction that was under way when the sums were read; ``is_over`` says that
    the experiment does not run in this phase any more. Whoever writes the same results waits here.
    """
    await _note_progress(connection, key, read_up_to, is_over=is_over)
    results = experiment_results.c
    await connection.execute(
        sa.delete(experiment_results).where(
            results.experiment_id == key.experiment_id, results.phase == key.phase
        )
    )
    if rows:
        fixed = {"experiment_id": key.experiment_id, "experiment": key.experiment, "phase": key.phase}
        columns = zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)
        values = {f"c{index}": list(column) for index, column in enumerate(columns)}
        await connection.execute(_INSERT, {**fixed, **values})


async def keep_hour(connection: AsyncConnection, key: PhaseKey, *, started_at: datetime) -> bool:
    """Keep the newest results for the history where it is time to; say whether.

    It is at each full hour, and in the first one with the first number and after ``EARLY_MINUTES``, counted
    from the phase's start. Results without a number are never kept for the hour.
    """
    asked = {"experiment_id": key.experiment_id, "phase": key.phase, "started_at": started_at}
    is_due = bool(await connection.scalar(_IS_DUE, {**asked, "minutes": [0, *EARLY_MINUTES]}))
    if is_due:
        await _keep(connection, key, "hour")
    return is_due


async def keep_decision(connection: AsyncConnection, key: PhaseKey, decision_id: UUID) -> None:
    """Keep the newest results as those a decision was made on."""
    await _keep(connection, key, "decision", decision_id)


async def keep_end(connection: AsyncConnection, key: PhaseKey, *, seconds_after: float) -> None:
    """Keep the newest results as those a phase ended with.

    They are kept anew while the last sums are still being written, and never after: what comes later shows in
    the newest results.
    """
    past = experiment_results_history.c
    of_end = (past.experiment_id == key.experiment_id, past.phase == key.phase, past.occasion == "end")
    if seconds_after <= SETTLING_SECONDS:
        await connection.execute(sa.delete(experiment_results_history).where(*of_end))
    elif await connection.scalar(sa.select(sa.literal(1)).where(*of_end).limit(1)) is not None:
        return
    await _keep(connection, key, "end")


async def outdated(connection: AsyncConnection) -> list[PhaseKey]:
    """Return the phases in which nothing runs and whose results lack something that was counted."""
    rows = await connection.execute(_OUTDATED, {"late_days": LATE_DAYS})
    return [PhaseKey(row.experiment_id, row.key, row.phase) for row in rows]


async def _note_progress(
    connection: AsyncConnection, key: PhaseKey, read_up_to: str | None, *, is_over: bool
) -> None:
    stamp = sa.cast(sa.literal(read_up_to or "0", sa.Text), results_progress.c.read_up_to.type)
    values = {
        "experiment_id": key.experiment_id,
        "phase": key.phase,
        "read_up_to": stamp,
        "is_over": is_over,
    }
    added = insert(results_progress).values(values)
    await connection.execute(
        added.on_conflict_do_update(
            index_elements=[results_progress.c.experiment_id, results_progress.c.phase],
            set_={
                "read_up_to": added.excluded.read_up_to,
                "is_over": added.excluded.is_over,
                "as_of": sa.func.now(),
            },
        )
    )


async def _keep(
    connection: AsyncConnection, key: PhaseKey, occasion: Occasion, decision_id: UUID | None = None
) -> None:
    columns = [column.name for column in experiment_results.columns]
    newest = sa.select(
        *experiment_results.columns,
        sa.func.now(),
        sa.literal(occasion, sa.Text),
        sa.literal(decision_id, sa.Uuid),
    ).where(experiment_results.c.experiment_id == key.experiment_id, experiment_results.c.phase == key.phase)
    await connection.execute(
        insert(experiment_results_history)
        .from_select([*columns, "recorded_at", "occasion", "decision_id"], newest)
        .on_conflict_do_nothing()
    )


_TYPES = {
    **dict.fromkeys(("metric", "segment", "statistic", "variant", "comparison_to", "method"), "text"),
    **dict.fromkeys(("level", "point", "lower", "upper", "p_value", "adjusted_p_value"), "float8"),
    "n": "bigint",
    "always_valid": "bool",
    "exploratory": "bool",
    "insufficient": "text",
}
_NAMES = [field.name for field in msgspec.structs.fields(ResultRow)]

# Every name is one of our own columns.
_INSERT = sa.text(f"""
    INSERT INTO experiment_results (experiment_id, experiment, phase, {", ".join(_NAMES)}, as_of)
    SELECT :experiment_id, :experiment, :phase, r.*, now() FROM unnest(
        {", ".join(f"CAST(:c{index} AS {_TYPES[name]}[])" for index, name in enumerate(_NAMES))}) AS r
""")  # noqa: S608

_IS_DUE = sa.text("""
    WITH newest AS (
        SELECT max(due) AS due FROM (
            SELECT CAST(:started_at AS timestamptz) + make_interval(mins => m)
            FROM unnest(CAST(:minutes AS int[])) AS m
            UNION ALL SELECT date_trunc('hour', now())
        ) AS times (due)
        WHERE due <= now()
    )
    SELECT EXISTS (SELECT 1 FROM experiment_results AS r
                   WHERE r.experiment_id = :experiment_id AND r.phase = :phase AND r.point IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM experiment_results_history AS h, newest
                        WHERE h.experiment_id = :experiment_id AND h.phase = :phase AND h.occasion = 'hour'
                            AND h.recorded_at >= newest.due)
""")

_OUTDATED = sa.text("""
    SELECT e.experiment_id, e.key, p.phase
    FROM experiment_phases AS p
    JOIN experiments AS e ON e.experiment_id = p.experiment_id
    LEFT JOIN results_progress AS r ON r.experiment_id = p.experiment_id AND r.phase = p.phase
    WHERE e.kind <> 'shadow'
      AND (p.phase <> e.phase OR e.status <> 'running')
      AND (p.ended_at IS NULL OR p.ended_at > now() - make_interval(days => :late_days))
      AND (
        r.is_over IS NOT TRUE
        OR r.as_of < p.ended_at
        OR EXISTS (SELECT 1 FROM bucket_sums AS b
                   WHERE b.experiment_id = p.experiment_id AND b.phase = p.phase AND b.stamp >= r.read_up_to)
        OR EXISTS (SELECT 1 FROM experiment_counts AS c
                   WHERE c.experiment_id = p.experiment_id AND c.phase = p.phase AND c.stamp >= r.read_up_to)
      )
    ORDER BY e.key, p.phase
""")
