"""How far the sums by analysis bucket are written, and what was known of the units there.

This progress lags behind ``partition_progress`` by some seconds and is never ahead of it. Both belong to the
partition's owner: a claim gives both the same epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.claims import Progress, UnitEvent
from services.storage.tables import bucket_ledgers, bucket_progress

LedgerKey = tuple[int, UUID, int]
"""(partition, experiment id, phase)."""


@dataclass(frozen=True, slots=True)
class BucketProgress:
    """How far a partition's bucket sums are written, and the gateways' next sequence numbers there."""

    partition: int
    next_offset: int
    tick: int
    sequences: Mapping[UUID, int]


async def claim(
    connection: AsyncConnection, topic: str, progress: Sequence[Progress]
) -> dict[int, BucketProgress]:
    """Give the bucket sums of claimed partitions the claims' epochs; return how far they are written.

    Call it in the transaction of the claim. Sums of a partition that has none yet begin where it is counted.
    """
    if not progress:
        return {}
    insert = pg.insert(bucket_progress).values(
        [
            {
                "topic": topic,
                "partition": one.partition,
                "epoch": one.epoch,
                "next_offset": one.next_offset,
                "tick": one.tick,
            }
            for one in sorted(progress, key=lambda one: one.partition)
        ]
    )
    columns = bucket_progress.c
    statement = insert.on_conflict_do_update(
        index_elements=[columns.topic, columns.partition], set_={"epoch": insert.excluded.epoch}
    ).returning(columns.partition, columns.next_offset, columns.tick, columns.sequences)
    return {
        partition: BucketProgress(
            partition, next_offset, tick, {UUID(gateway): number for gateway, number in sequences.items()}
        )
        for partition, next_offset, tick, sequences in await connection.execute(statement)
    }


async def move(
    connection: AsyncConnection, topic: str, offsets: Mapping[int, int], epochs: Mapping[int, int]
) -> None:
    """Let the bucket sums go on elsewhere, as the log is not what it was. Call it with the claim's epochs."""
    columns = bucket_progress.c
    for partition, next_offset in offsets.items():
        await connection.execute(
            bucket_progress.update()
            .where(columns.topic == topic, columns.partition == partition, columns.epoch == epochs[partition])
            .values(next_offset=next_offset)
        )


async def load_known(
    connection: AsyncConnection, topic: str, partitions: Sequence[int]
) -> dict[LedgerKey, dict[UnitEvent, int]]:
    """Return how many units of each event, in the order of their chunks, the bucket sums contain."""
    ledgers = bucket_ledgers.c
    rows = await connection.execute(
        sa.select(ledgers.partition, ledgers.experiment_id, ledgers.phase, ledgers.known).where(
            ledgers.topic == topic, ledgers.partition.in_(partitions)
        )
    )
    return {(partition, experiment_id, phase): known for partition, experiment_id, phase, known in rows}
