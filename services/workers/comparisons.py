"""Storing what gateways say of their shadows.

This needs none of what counting needs: comparisons have ids and coverage only grows, so whatever is read
again changes nothing. A group of its own commits offsets after the transaction, and trouble here, which is
repaired by trying again, is no reason to end the process that counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Never, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.events import Comparison, DeadLetter
from services.messaging.codec import encode_dead_letter
from services.messaging.comparison_codec import DecodedComparisons, decode_comparisons, encode_comparison
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames
from services.storage import comparisons
from services.storage.counting import is_refusal
from services.workers.flushing import STORAGE_ERRORS
from services.workers.metrics import BurialReason, WorkerMetrics

logger = logging.getLogger(__name__)

GROUP = "headgate-comparisons"
POLL_MS = 500
RETRY_SECONDS = 0.5
SESSION_TIMEOUT_MS = 10_000
RECORDS_AT_ONCE = 50
FORGET_EVERY_SECONDS = 60.0

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"
Work = Callable[[AsyncConnection], Awaitable[object]]


class Comparisons:
    """Reads ``comparisons.v1`` into the database, and deletes texts whose time is over."""

    def __init__(
        self,
        engine: AsyncEngine,
        kafka: KafkaSettings,
        publisher: Publisher,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._engine = engine
        self._metrics = metrics or WorkerMetrics()
        self._kafka = kafka
        self._topics = TopicNames(kafka.topic_prefix)
        self._publisher = publisher

    async def run(self) -> Never:
        """Store for ever, whatever happens to Kafka and Postgres meanwhile."""
        while True:
            consumer = self._consumer()
            try:
                await consumer.start()
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                logger.warning("cannot read comparisons from Kafka: %r; trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await consumer.stop()

    async def forget_texts(self) -> Never:
        """Delete expired texts, now and every so often."""
        while True:
            try:
                async with self._engine.begin() as connection:
                    forgotten = await comparisons.forget_expired_texts(connection)
            except STORAGE_ERRORS as error:
                logger.warning("cannot delete the texts that expired: %s; trying again later", error)
                forgotten = 0
            if not forgotten:
                await asyncio.sleep(FORGET_EVERY_SECONDS)

    async def store(self, records: Sequence[Record]) -> None:
        """Store what the records hold; what cannot be read, or is refused, becomes dead letters."""
        decoded = [decode_comparisons(record.value) for record in records]
        found = [one for part in decoded for one in part.comparisons]
        one_by_one = [(_adding([one]), encode_comparison(one)) for one in found]
        await self._write(_adding(found), records[0], one_by_one)
        self._metrics.compared(len(found))
        for record, part in zip(records, decoded, strict=True):
            await self._write(_covering(part), record, [])
        for record, part in zip(records, decoded, strict=True):
            for unreadable in part.unreadable:
                reason, payload = unreadable.reason, unreadable.payload
                await self._bury(record, unreadable.index, "unreadable", reason, payload)

    async def _read(self, consumer: AIOKafkaConsumer) -> Never:
        while True:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
            records = [record for part in polled.values() for record in part]
            if records:
                await self.store(records)
                await consumer.commit()

    async def _write(self, work: Work, record: Record, parts: Sequence[tuple[Work, bytes]]) -> None:
        """Do the work in a transaction; where Postgres refuses a value, part by part."""
        while True:
            try:
                async with self._engine.begin() as connection:
                    await work(connection)
            except STORAGE_ERRORS as error:
                if not is_refusal(error):
                    logger.warning("comparisons are not stored yet, trying again: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._write_parts(parts, record, f"Postgres refused it: {error}")
            return

    async def _write_parts(self, parts: Sequence[tuple[Work, bytes]], record: Record, reason: str) -> None:
        if len(parts) < 2:
            payload = parts[0][1] if parts else record.value or b""
            await self._bury(record, None, "refused", reason, payload)
            return
        for part in parts:
            await self._write(part[0], record, [part])

    async def _bury(
        self, record: Record, index: int | None, kind: BurialReason, reason: str, payload: bytes
    ) -> None:
        logger.error("a comparison at %d/%d: %s", record.partition, record.offset, reason)
        letter = DeadLetter(record.topic, record.partition, record.offset, index, reason, payload)
        await self._publisher.deliver(self._topics.dead_letters, encode_dead_letter(letter))
        self._metrics.buried("comparisons.v1", kind)

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            self._topics.comparisons,
            bootstrap_servers=self._kafka.kafka,
            group_id=self._kafka.topic_prefix + GROUP,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=SESSION_TIMEOUT_MS,
        )


def _adding(found: Sequence[Comparison]) -> Work:
    return lambda connection: comparisons.add(connection, found)


def _covering(part: DecodedComparisons) -> Work:
    async def cover(connection: AsyncConnection) -> None:
        if part.gateway is not None:
            await comparisons.add_coverage(connection, part.gateway, part.coverage)

    return cover
