"""Reading a topic without a group: the whole of it, then whatever comes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from services.messaging.settings import KafkaSettings

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
ASSIGNMENT_SECONDS = 0.005
POLL_MS = 200
IDLE_POLL_MS = 2_000
FETCH_WAIT_MS = 500
"""How long a broker holds back an answer without records; questions about offsets wait behind it."""
RECENT_WAIT_MS = 50
"""Where what is new is needed at once, so that a start does not wait either."""
NOTHING: Mapping[int, float] = MappingProxyType({})


class Listener(Protocol):
    """Who is told what a topic holds. The calls come in this order, again from the start after an error."""

    def begin(self) -> None:
        """Reading starts at the topic's first record."""

    def records(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """These came, in the order of their partition's log."""

    def caught_up(self) -> None:
        """Everything that was there when reading started has been handed over."""


async def follow(
    settings: KafkaSettings, topic: str, listener: Listener, *, recent: Mapping[int, float] = NOTHING
) -> NoReturn:
    """Hand over committed records from the start, for ever, whatever happens to Kafka meanwhile.

    Of the partitions in ``recent``, only what is not older than so many seconds.
    """
    reported = ""
    while True:
        try:
            wait_ms = RECENT_WAIT_MS if recent else FETCH_WAIT_MS
            async with _consumer(
                settings, topic, isolation_level="read_committed", wait_ms=wait_ms
            ) as consumer:
                await _pass_over_old(consumer, recent)
                listener.begin()
                async for batch in _until_end(consumer):
                    listener.records(batch)
                listener.caught_up()
                reported = ""
                async for batch in _polls(consumer, IDLE_POLL_MS):
                    listener.records(batch)
        except (KafkaError, OSError) as error:
            if str(error) != reported:
                reported = str(error)
                logger.warning("cannot read %s at %s: %s; trying again", topic, settings.kafka, error)
            await asyncio.sleep(RETRY_SECONDS)


async def read_topic(
    settings: KafkaSettings, topic: str, *, isolation_level: str = "read_uncommitted"
) -> list[ConsumerRecord[bytes, bytes]]:
    """Return everything that is in a topic now, partition by partition in the order of its log."""
    async with _consumer(settings, topic, isolation_level=isolation_level) as consumer:
        found = [record async for batch in _until_end(consumer) for record in batch]
    return sorted(found, key=lambda record: (record.partition, record.offset))


@asynccontextmanager
async def _consumer(
    settings: KafkaSettings, topic: str, *, isolation_level: str, wait_ms: int = FETCH_WAIT_MS
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        group_id=None,
        isolation_level=isolation_level,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=wait_ms,
    )
    try:
        await consumer.start()
        # Asking for a topic by its name would create it where the broker allows that, and not as ours are.
        if topic not in await consumer.topics():
            raise UnknownTopicOrPartitionError(f"topic {topic} does not exist; run `headgate migrate`")
        consumer.subscribe([topic])
        while not consumer.assignment():  # noqa: ASYNC110 - the client tells nobody
            await asyncio.sleep(ASSIGNMENT_SECONDS)
        yield consumer
    finally:
        await consumer.stop()


async def _pass_over_old(consumer: AIOKafkaConsumer, recent: Mapping[int, float]) -> None:
    now = time.time()
    since = {
        partition: int(1000 * (now - recent[partition.partition]))
        for partition in consumer.assignment()
        if partition.partition in recent
    }
    if not since:
        return
    for partition, found in (await consumer.offsets_for_times(since)).items():
        # Where nothing is as new, what is left of the old does no harm and is little.
        if found is not None:
            consumer.seek(partition, found.offset)


async def _polls(
    consumer: AIOKafkaConsumer, timeout_ms: int
) -> AsyncIterator[Sequence[ConsumerRecord[bytes, bytes]]]:
    while True:
        polled: dict[Any, list[ConsumerRecord[bytes, bytes]]] = await consumer.getmany(timeout_ms=timeout_ms)
        yield [record for records in polled.values() for record in records]


async def _until_end(consumer: AIOKafkaConsumer) -> AsyncIterator[Sequence[ConsumerRecord[bytes, bytes]]]:
    """Yield what lies before the end offsets of this moment.

    The positions are compared, not the records' offsets: transaction markers and compaction leave offsets
    at the end that no record will ever have.
    """
    ends: dict[Any, int] = await consumer.end_offsets(consumer.assignment())
    while True:
        for partition, end in ends.items():
            if await consumer.position(partition) < end:
                break
        else:
            return
        polled = await consumer.getmany(timeout_ms=POLL_MS)
        yield [record for records in polled.values() for record in records]
