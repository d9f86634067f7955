"""Finding what Postgres refused: halving what was counted, in transactions that are always rolled back."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from services.messaging.codec import decode_record
from services.storage.counting import Flush, is_refusal, write_values
from services.workers.counts import Delta, Record
from services.workers.flushing import STORAGE_ERRORS
from services.workers.partitions import Partition

logger = logging.getLogger(__name__)

Refusals = dict[tuple[int, int], dict[int | None, str]]
"""(partition, offset) → index of the outcome → why it cannot be stored."""

_ALL_BUT = "left out while looking for another"


async def find_refusals(engine: AsyncEngine, topic: str, records: Sequence[Record]) -> Refusals:
    """Return the outcomes that Postgres refuses, by record. Raises where Postgres cannot be asked."""
    found: Refusals = {}
    for record, _ in await _refused_records(engine, topic, records):
        found[record.partition, record.offset] = await _refused_outcomes(engine, topic, record)
    return found


async def _refused_records(
    engine: AsyncEngine, topic: str, records: Sequence[Record]
) -> list[tuple[Record, str]]:
    why = await _rehearse(engine, topic, records)
    if why is None:
        return []
    if len(records) == 1:
        return [(records[0], why)]
    middle = len(records) // 2
    return [
        *await _refused_records(engine, topic, records[:middle]),
        *await _refused_records(engine, topic, records[middle:]),
    ]


async def _refused_outcomes(engine: AsyncEngine, topic: str, record: Record) -> dict[int | None, str]:
    indices = _indices(record)
    head = await _rehearse(engine, topic, [record], keep=[])
    if head is not None:
        return {None: head}

    async def look(candidates: Sequence[int]) -> dict[int | None, str]:
        why = await _rehearse(engine, topic, [record], keep=candidates)
        if why is None:
            return {}
        if len(candidates) == 1:
            return {candidates[0]: why}
        middle = len(candidates) // 2
        return await look(candidates[:middle]) | await look(candidates[middle:])

    return await look(indices)


async def _rehearse(
    engine: AsyncEngine, topic: str, records: Sequence[Record], *, keep: Sequence[int] | None = None
) -> str | None:
    """Say why Postgres refuses the records (of one: the outcomes to keep), or None where it takes them."""
    flush = _scratch_flush(topic, records, keep)
    try:
        async with engine.connect() as connection:
            # Never committed: closing the connection rolls back.
            await write_values(connection, flush)
    except STORAGE_ERRORS as error:
        if is_refusal(error):
            return f"Postgres refused it: {str(error).splitlines()[0]}"
        raise
    return None


def _scratch_flush(topic: str, records: Sequence[Record], keep: Sequence[int] | None) -> Flush:
    delta, partitions = Delta(), dict[int, Partition]()
    for record in records:
        partition = partitions.setdefault(
            record.partition, Partition(topic, record.partition, epoch=0, next_offset=record.offset)
        )
        left_out: dict[int | None, str] = {}
        if keep is not None:
            left_out = {index: _ALL_BUT for index in _indices(record) if index not in keep}
        partition.count(record, delta, left_out)
    return Flush(
        topic=topic,
        gateways=delta.gateway_rows(),
        units=delta.seal_units(),
        exposures=delta.exposures,
        experiments=delta.experiment_rows(),
        routes=delta.route_rows(),
        quality=delta.quality_rows(),
        usage=delta.usage_rows(),
    )


def _indices(record: Record) -> list[int]:
    """Return the places of what can be read of a record."""
    batch = decode_record(record.value)
    return [*batch.indices, *(index for index, _ in batch.feedback)]
