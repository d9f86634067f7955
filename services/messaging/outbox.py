"""The outbox relay: carries what Postgres committed to Kafka, in order, one relay at a time.

Rows are published in a Kafka transaction and deleted after it. Whatever goes wrong in between publishes them
again: their versions, or the state they are applied to, make a repeat harmless. A relay that lost its lock
without noticing is fenced by the producer of its successor, which has the same transactional id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.messaging.publisher import transactional_producer
from services.messaging.settings import KafkaSettings

logger = logging.getLogger(__name__)

TRANSACTIONAL_ID = "headgate-outbox"
BATCH_ROWS = 500
POLL_SECONDS = 1.0
"""How often to look without having been woken, and for the lock while another relay has it."""
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Row(Protocol):
    """One record to publish; ``topic`` is without the installation's prefix."""

    @property
    def outbox_id(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def partition(self) -> int | None: ...


class Session(Protocol):
    """The hold on the outbox. Every method raises ConnectionError when it is lost."""

    async def take(self, limit: int) -> Sequence[Row]:
        """Return the oldest committed rows."""

    async def delete(self, outbox_ids: Sequence[int]) -> None:
        """Forget rows that are published."""

    async def wait(self, seconds: float) -> None:
        """Return when a row was added, or after ``seconds``."""


class Queue(Protocol):
    """An outbox that one relay at a time may hold."""

    def lead(self) -> AbstractAsyncContextManager[Session | None]:
        """Hold the outbox while the context is open; None where another relay does."""


class OutboxRelay:
    """Publishes an outbox until it is told to stop, through restarts of Kafka and Postgres."""

    def __init__(self, settings: KafkaSettings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        self._failures = 0
        self.leading = False
        """Whether this is the one relay at present."""
        self.published = 0
        """How many records it carried."""

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop`` is set."""
        relaying = asyncio.create_task(self._relay_for_ever())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({relaying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            relaying.cancel()
            # What was in flight stays in the outbox, or is published twice: both are fine.
            with suppress(asyncio.CancelledError):
                await relaying

    async def _relay_for_ever(self) -> None:
        while True:
            try:
                async with self._queue.lead() as session:
                    self.leading = session is not None
                    if session is not None:
                        await self._relay(session)
                await asyncio.sleep(POLL_SECONDS)
            except (KafkaError, OSError) as error:
                await self._back_off(error)
            finally:
                self.leading = False

    async def _relay(self, session: Session) -> None:
        async with self._producer() as producer:
            logger.info("relaying the outbox to Kafka at %s", self._settings.kafka)
            while True:
                rows = await session.take(BATCH_ROWS)
                if not rows:
                    await session.wait(POLL_SECONDS)
                    continue
                await self._publish(producer, rows)
                await session.delete([row.outbox_id for row in rows])
                self.published += len(rows)
                self._failures = 0

    async def _publish(self, producer: AIOKafkaProducer, rows: Sequence[Row]) -> None:
        prefix = self._settings.topic_prefix
        async with producer.transaction():
            sent = [
                await producer.send(prefix + row.topic, row.value, key=row.key, partition=row.partition)
                for row in rows
            ]
            await asyncio.gather(*sent)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = transactional_producer(self._settings, transactional_id=TRANSACTIONAL_ID)
        try:
            await producer.start()
            yield producer
        finally:
            with suppress(KafkaError):
                await producer.stop()

    async def _back_off(self, error: Exception) -> None:
        seconds = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
        if not self._failures:
            logger.warning("the outbox relay stands still: %r; trying again until it moves", error)
        self._failures += 1
        await asyncio.sleep(seconds)
