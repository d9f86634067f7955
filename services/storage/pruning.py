"""Deleting what nobody needs any more, a little at a time.

- Units and what the bucket sums knew of them (``unit_chunks``, ``bucket_ledgers``) of experiments that closed
  ``PRUNED_AFTER_HOURS`` ago. A closed experiment counts nothing, and every worker has learned that it is
  closed long before: one that could not ask Postgres for so long could not write either.
- Sequence numbers of gateway incarnations (``gateway_progress``) that sent nothing for
  ``GATEWAYS_KEPT_DAYS``, four times as long as ``outcomes.v1`` keeps a record, and of which nothing is
  missing: what is missing stays on the books.

Results (counts, bucket sums, exposures) are never deleted here.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.claims import KEEP_UNITS_OF_STOPPED_HOURS

PRUNED_AFTER_HOURS = 48
GATEWAYS_KEPT_DAYS = 30
ROWS_AT_ONCE = 2_000
"""The most rows that one statement deletes."""

_OVER = f"""
    SELECT experiment_id FROM experiments
    WHERE stopped_at < now() - interval '{KEEP_UNITS_OF_STOPPED_HOURS + PRUNED_AFTER_HOURS} hours'
"""  # noqa: S608 - our own numbers


def _of_over(table: str) -> sa.TextClause:
    return sa.text(f"""
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM {table} WHERE topic = :topic AND experiment_id IN ({_OVER})
            LIMIT {ROWS_AT_ONCE} FOR UPDATE SKIP LOCKED))
    """)  # noqa: S608 - our own names and numbers


_STATEMENTS = (
    _of_over("unit_chunks"),
    _of_over("bucket_ledgers"),
    sa.text(f"""
        DELETE FROM gateway_progress WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM gateway_progress
            WHERE topic = :topic AND missing = 0 AND seen_at < now() - interval '{GATEWAYS_KEPT_DAYS} days'
            LIMIT {ROWS_AT_ONCE} FOR UPDATE SKIP LOCKED))
    """),  # noqa: S608 - our own numbers
)


async def prune(connection: AsyncConnection, topic: str) -> int:
    """Delete a bounded number of rows that nobody needs; return how many."""
    deleted = 0
    for statement in _STATEMENTS:
        deleted += (await connection.execute(statement, {"topic": topic})).rowcount
    return deleted
