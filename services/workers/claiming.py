"""Taking over partitions: claim in Postgres, compare with the log, load what is known of the units.

The epoch is raised first, so that whatever is loaded afterwards can no longer change under us.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.messaging.settings import KafkaSettings
from services.storage import claims
from services.storage.claims import Progress
from services.workers.logs import read_fingerprints
from services.workers.partitions import Partition
from services.workers.positions import LogRange, find_move, last_counted_offset
from services.workers.units import UnitLedger

logger = logging.getLogger(__name__)


class Log(Protocol):
    """What the log holds at this moment."""

    async def ranges(self, partitions: Sequence[int]) -> Mapping[int, LogRange]:
        """Return the offsets that each partition of ``outcomes.v1`` holds."""
        ...


class Claimer:
    """Claims partitions of one topic for this process."""

    def __init__(self, engine: AsyncEngine, kafka: KafkaSettings, topic: str, name: str) -> None:
        self._engine = engine
        self._kafka = kafka
        self._topic = topic
        self._name = name

    async def claim(self, partitions: Sequence[int], log: Log) -> list[Partition]:
        """Claim the partitions and return them as they are to be counted from here on."""
        if not partitions:
            return []
        async with self._engine.begin() as connection:
            progress = await claims.claim(connection, self._topic, partitions, claimed_by=self._name)
        # Committed: nobody else writes these partitions now, unless they claim them after us.
        progress = await self._reposition(progress, log)
        async with self._engine.connect() as connection:
            return await load(connection, self._topic, progress)

    async def reload(self, epochs: Mapping[int, int]) -> list[Partition]:
        """Return the partitions as Postgres knows them, where they are still ours."""
        async with self._engine.connect() as connection:
            progress = await claims.read_progress(connection, self._topic, epochs)
            return await load(connection, self._topic, progress)

    async def _reposition(self, progress: Sequence[Progress], log: Log) -> list[Progress]:
        ranges = await log.ranges([one.partition for one in progress])
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
            return await claims.read_progress(connection, self._topic, epochs)


async def load(connection: AsyncConnection, topic: str, progress: Iterable[Progress]) -> list[Partition]:
    """Return partitions with their sequences and unit ledgers."""
    partitions = {
        one.partition: Partition(topic, one.partition, one.epoch, one.next_offset, one.tick)
        for one in progress
    }
    for partition, sequences in (await claims.load_sequences(connection, topic, list(partitions))).items():
        partitions[partition].sequences = sequences
    async for chunk in claims.load_units(connection, topic, list(partitions)):
        ledgers = partitions[chunk.partition].ledgers
        ledger = ledgers.setdefault((chunk.experiment_id, chunk.phase), UnitLedger())
        ledger.of(chunk.event).load(chunk.chunk, chunk.units)
    return list(partitions.values())
