"""Taking over partitions: claim in Postgres, compare with the log, load what is known of the units.

The epoch is raised first, so that whatever is loaded afterwards can no longer change under us.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.messaging.settings import KafkaSettings
from services.storage import bucket_progress, claims
from services.storage.bucket_progress import BucketProgress
from services.storage.claims import Progress
from services.workers.endings import Endings
from services.workers.ledgers import Ledgers
from services.workers.logs import read_fingerprints
from services.workers.memory import Memory
from services.workers.metrics import WorkerMetrics
from services.workers.partitions import Partition
from services.workers.positions import LogRange, find_move, last_counted_offset

logger = logging.getLogger(__name__)


class Log(Protocol):
    """What the log holds at this moment."""

    async def ranges(self, partitions: Sequence[int]) -> Mapping[int, LogRange]:
        """Return the offsets that each partition of ``outcomes.v1`` holds."""
        ...


class Claimer:
    """Claims partitions of one topic for this process."""

    def __init__(
        self,
        engine: AsyncEngine,
        kafka: KafkaSettings,
        topic: str,
        name: str,
        endings: Endings | None = None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._engine = engine
        self._metrics = metrics or WorkerMetrics()
        self._kafka = kafka
        self._topic = topic
        self._name = name
        self._endings = endings or Endings()

    async def claim(self, partitions: Sequence[int], log: Log) -> list[Partition]:
        """Claim the partitions and return them as they are to be counted from here on."""
        if not partitions:
            return []
        async with self._engine.begin() as connection:
            progress = await claims.claim(connection, self._topic, partitions, claimed_by=self._name)
            summed = await bucket_progress.claim(connection, self._topic, progress)
        # Committed: nobody else writes these partitions now, unless they claim them after us.
        ranges = await log.ranges([one.partition for one in progress])
        progress = await self._reposition(progress, ranges)
        summed = await self._reposition_sums(progress, summed, ranges)
        async with self._engine.connect() as connection:
            loaded = await load(connection, self._topic, progress, self._endings)
            await self._replay_sums(connection, loaded, summed)
        return loaded

    async def reload(self, epochs: Mapping[int, int]) -> list[Partition]:
        """Return the partitions as Postgres knows them, where they are still ours."""
        async with self._engine.connect() as connection:
            progress = await claims.read_progress(connection, self._topic, epochs)
            return await load(connection, self._topic, progress, self._endings)

    async def _reposition(
        self, progress: Sequence[Progress], ranges: Mapping[int, LogRange]
    ) -> list[Progress]:
        compared = {
            one.partition: offset
            for one in progress
            if (offset := last_counted_offset(one, ranges[one.partition])) is not None
        }
        found = await read_fingerprints(self._kafka, self._topic, compared)
        moves = []
        for one in progress:
            moved = find_move(one, ranges[one.partition], found.get(one.partition))
            if moved is not None:
                move, why = moved
                logger.error("%s/%d: %s", self._topic, one.partition, why)
                moves.append(move)
        if not moves:
            return list(progress)
        epochs = {one.partition: one.epoch for one in progress}
        async with self._engine.begin() as connection:
            await claims.move(connection, self._topic, moves, epochs)
            offsets = {one.partition: one.next_offset for one in moves}
            await bucket_progress.move(connection, self._topic, offsets, epochs)
            moved_to = await claims.read_progress(connection, self._topic, epochs)
        self._metrics.lost(sum(one.records_lost for one in moves))
        return moved_to

    async def _reposition_sums(
        self,
        progress: Sequence[Progress],
        summed: Mapping[int, BucketProgress],
        ranges: Mapping[int, LogRange],
    ) -> dict[int, BucketProgress]:
        """Return where the sums go on: never before the log's start, and never after the counts' end."""
        found, moves = dict(summed), dict[int, int]()
        for one in progress:
            behind = summed[one.partition]
            offset = min(max(behind.next_offset, ranges[one.partition].start), one.next_offset)
            if offset != behind.next_offset:
                moves[one.partition] = offset
                found[one.partition] = replace(behind, next_offset=offset)
        if moves:
            logger.error("bucket sums of %s go on at %s: the log is not what it was", self._topic, moves)
            async with self._engine.begin() as connection:
                epochs = {one.partition: one.epoch for one in progress}
                await bucket_progress.move(connection, self._topic, moves, epochs)
        return found

    async def _replay_sums(
        self, connection: AsyncConnection, loaded: Sequence[Partition], summed: Mapping[int, BucketProgress]
    ) -> None:
        behind = {one.partition: one for one in loaded if summed[one.partition].next_offset < one.next_offset}
        known = await bucket_progress.load_known(connection, self._topic, list(behind))
        memories = {
            number: Memory(number, dict(summed[number].sequences), Ledgers(number), self._endings)
            for number in behind
        }
        async for chunk in claims.load_units(connection, self._topic, list(behind)):
            contained = known.get((chunk.partition, chunk.experiment_id, chunk.phase), {})
            memories[chunk.partition].ledgers.load(chunk, contained.get(chunk.event, 0))
        for number, partition in behind.items():
            partition.replay_from(summed[number].next_offset, memories[number])


async def load(
    connection: AsyncConnection, topic: str, progress: Iterable[Progress], endings: Endings
) -> list[Partition]:
    """Return partitions with their sequences and unit ledgers."""
    claimed = list(progress)
    endings.close(await claims.load_closed(connection))
    sequences = await claims.load_sequences(connection, topic, [one.partition for one in claimed])
    partitions = {
        one.partition: Partition(
            topic,
            one.partition,
            one.epoch,
            one.next_offset,
            one.tick,
            sequences[one.partition],
            endings=endings,
        )
        for one in claimed
    }
    async for chunk in claims.load_units(connection, topic, list(partitions)):
        partitions[chunk.partition].ledgers.load(chunk)
    return list(partitions.values())
