"""One flush: a delta becomes one transaction, or nothing, or the end of the process."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.storage.counting import Advance, Flush, is_refusal, write
from services.workers.counts import Delta
from services.workers.partitions import Partition
from services.workers.positions import fingerprint

logger = logging.getLogger(__name__)

STORAGE_ERRORS = (SQLAlchemyError, psycopg.Error, OSError)
"""What may go wrong with Postgres: copying goes past SQLAlchemy, which wraps the rest."""

RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""How long to wait before a flush is tried again; the last one is repeated."""

CaughtUp = Callable[[int, int], float | None]
"""(partition, offset) → a ``time.monotonic`` at which this offset was the end of the log, or None."""


class Result(Enum):
    """What became of a flush."""

    WRITTEN = auto()
    REFUSED = auto()
    NOT_WRITTEN = auto()


class CommitUnknown(Exception):
    """The answer to a COMMIT was lost: the counts may be written or not."""


def build(
    topic: str, delta: Delta, partitions: Mapping[int, Partition], caught_up: CaughtUp, *, everything: bool
) -> Flush:
    """Return what a delta writes. ``everything`` adds a sign of life of the partitions without news."""
    advances = []
    for number, moved in delta.partitions.items():
        print_of_last = fingerprint(moved.last.timestamp_ms, moved.last.value) if moved.last else None
        advances.append(
            Advance(
                partition=number,
                epoch=partitions[number].epoch,
                from_offset=moved.from_offset,
                to_offset=moved.to_offset,
                tick=moved.tick,
                last_timestamp_ms=print_of_last.timestamp_ms if print_of_last else None,
                last_crc=print_of_last.crc if print_of_last else None,
                outcomes_counted=moved.outcomes_counted,
                duplicates_dropped=moved.duplicates_dropped,
                dead_lettered=moved.dead_lettered,
                caught_up_at=caught_up(number, moved.to_offset),
            )
        )
    if everything:
        advances += [
            _sign_of_life(partition, caught_up)
            for partition in partitions.values()
            if partition.partition not in delta.partitions
        ]
    return Flush(
        topic=topic,
        advances=advances,
        gateways=delta.gateway_rows(),
        units=delta.seal_units(),
        exposures=delta.exposures,
        experiments=delta.experiment_rows(),
        routes=delta.route_rows(),
        quality=delta.quality_rows(),
        usage=delta.usage_rows(),
    )


def _sign_of_life(partition: Partition, caught_up: CaughtUp) -> Advance:
    offset = partition.counted_offset
    at = caught_up(partition.partition, offset)
    return Advance(
        partition.partition, partition.epoch, offset, offset, partition.tick, None, None, 0, 0, 0, at
    )


async def transact(engine: AsyncEngine, flush: Flush) -> Result:
    """Write a flush and commit it; see ``commit``."""
    return await commit(engine, lambda connection: write(connection, flush))


async def commit(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[None]]) -> Result:
    """Do the work in a transaction and commit it.

    Raises Fenced where another worker has taken over, and CommitUnknown where the answer to the commit was
    lost. After any other failure nothing is written.
    """
    try:
        async with engine.connect() as connection:
            await work(connection)
            try:
                await connection.commit()
            except STORAGE_ERRORS as error:
                raise CommitUnknown(str(error)) from error
    except STORAGE_ERRORS as error:
        if is_refusal(error):
            logger.warning("Postgres refused a value in the counts: %s", error)
            return Result.REFUSED
        logger.warning("the counts are not written yet, trying again: %s", error)
        return Result.NOT_WRITTEN
    return Result.WRITTEN
