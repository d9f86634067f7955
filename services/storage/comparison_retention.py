"""Forgetting the comparisons of a shadow that ended long ago. What they came to stays, as sums.

The sums of a phase are kept in the transaction that deletes its first rows. From then on its report is made
of them, whatever of the rows is left. What rows cost is added up by day as they are deleted.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.experiment import Experiment
from services.domain.shadow_report import SUMMED
from services.storage import comparisons, experiments
from services.storage.tables import comparison_texts, shadow_costs, shadow_sums
from services.storage.tables import comparisons as comparisons_table
from services.storage.tables import experiments as experiments_table

ROWS_AT_ONCE = 5_000


async def prune(connection: AsyncConnection, kept_days: float) -> int:
    """Delete some comparisons of a shadow that was stopped more than so many days ago; return how many."""
    experiment = await _ended(connection, kept_days)
    if experiment is None:
        return 0
    row = comparisons_table.c
    for phase in await connection.scalars(
        sa.select(row.phase).where(row.experiment_id == experiment.experiment_id).distinct()
    ):
        await _keep_sums(connection, experiment, phase)
    return await _delete(connection, experiment.experiment_id)


async def _delete(connection: AsyncConnection, experiment_id: UUID) -> int:
    """Delete some rows with their texts, and add what they cost to what is kept of it; return how many."""
    row = comparisons_table.c
    some = sa.select(row.comparison_id).where(row.experiment_id == experiment_id).limit(ROWS_AT_ONCE)
    gone = (
        sa.delete(comparisons_table)
        .where(row.comparison_id.in_(some))
        .returning(*comparisons_table.c)
        .cte("gone")
    )
    texts = sa.delete(comparison_texts).where(
        comparison_texts.c.comparison_id.in_(sa.select(gone.c.comparison_id))
    )
    deleted = sa.select(sa.func.count()).select_from(gone)
    return await connection.scalar(deleted.add_cte(texts.cte("texts"), _added_costs(gone).cte("costs"))) or 0


def _added_costs(gone: sa.CTE) -> Insert:
    """As the view shadow_cost_by_day adds up the rows that are there."""
    row = gone.c
    key = {
        "experiment_id": row.experiment_id,
        "day": sa.cast(sa.func.timezone("UTC", row.occurred_at), sa.Date),
        "route_key": row.route_key,
        "variant_key": row.shadow_variant,
    }
    prompt, completion = (
        sa.func.coalesce(tokens, 0) for tokens in (row.shadow_prompt_tokens, row.shadow_completion_tokens)
    )
    counts = {
        "requests": sa.func.count(),
        "prompt_tokens": sa.func.sum(prompt),
        "completion_tokens": sa.func.sum(completion),
        "cost_nanos": sa.func.coalesce(sa.func.sum(row.shadow_cost_nanos), 0),
        "unpriced_requests": sa.func.count().filter(
            row.shadow_cost_nanos.is_(None) & (prompt + completion > 0)
        ),
    }
    summed = sa.select(*key.values(), *counts.values()).group_by(*key.values())
    statement = insert(shadow_costs).from_select([*key, *counts], summed)
    return statement.on_conflict_do_update(
        index_elements=list(key),
        set_={name: shadow_costs.c[name] + statement.excluded[name] for name in counts},
    )


async def _ended(connection: AsyncConnection, kept_days: float) -> Experiment | None:
    """Return one of which there is something to delete, held, so that nobody else does."""
    row = experiments_table.c
    query = (
        sa.select(row.experiment_id)
        .where(
            row.kind == "shadow",
            row.stopped_at < sa.func.now() - timedelta(days=kept_days),
            sa.exists().where(comparisons_table.c.experiment_id == row.experiment_id),
        )
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found: UUID | None = await connection.scalar(query)
    return None if found is None else await experiments.by_id(connection, found)


async def _keep_sums(connection: AsyncConnection, experiment: Experiment, phase: int) -> None:
    """Keep what a phase's comparisons come to, unless that was done when the first of them were deleted."""
    threshold = experiment.shadow.similarity_threshold
    sums = await comparisons.summed(connection, experiment.experiment_id, phase, similar_from=threshold)
    rows = [
        {
            "experiment_id": experiment.experiment_id,
            "phase": phase,
            "bucket": bucket,
            "sums": dict(zip(SUMMED, sums.table[bucket].tolist(), strict=True)),
        }
        for bucket in sums["mirrored"].nonzero()[0].tolist()
    ]
    await connection.execute(insert(shadow_sums).on_conflict_do_nothing(), rows)
