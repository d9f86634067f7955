"""Producers: their settings in one place, and a publisher that is made anew when it breaks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from services.messaging.settings import KafkaSettings

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_SECONDS = 10.0
SLOW_SECONDS = 2.0
"""No acknowledgement for so long says that Kafka is away; the producer goes on trying by itself."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0)
"""How long to wait before each next try; the last one is repeated."""
MAX_RECORD_BYTES = 1024 * 1024 - 4096
"""What a broker accepts by default, less the head of a batch."""

_NO_ANSWER = KafkaError(f"no acknowledgement for {SLOW_SECONDS:g} s")

PublisherState = Literal["new", "connected", "down", "stopped"]


def idempotent_producer(
    settings: KafkaSettings, *, client_id: str, transactional_id: str | None = None
) -> AIOKafkaProducer:
    """Return a producer, not started, that loses nothing and repeats nothing while it lives."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000),
        max_batch_size=MAX_RECORD_BYTES,
    )
    _rest_while_unreachable(producer)
    return producer


def _rest_while_unreachable(producer: AIOKafkaProducer) -> None:
    """Let a producer without a broker rest between its looks for one.

    While a partition has no leader, aiokafka 0.14 asks for metadata again the moment the last try failed:
    with the broker down that is thousands of connections a second, on the event loop that serves clients.
    """
    look = producer.client._metadata_update  # noqa: SLF001 - there is no public place for it

    async def look_and_rest(*arguments: Any) -> bool:
        found: bool = await look(*arguments)
        if not found:
            await asyncio.sleep(RETRY_SECONDS[0])
        return found

    producer.client._metadata_update = look_and_rest  # noqa: SLF001


def transactional_producer(settings: KafkaSettings, *, transactional_id: str) -> AIOKafkaProducer:
    """Return a producer, not started, for transactions; it fences an older one with the same id."""
    return idempotent_producer(
        settings,
        client_id=transactional_id,
        transactional_id=settings.topic_prefix + transactional_id,
    )


class Publisher:
    """An idempotent producer that survives its own death.

    A producer that gave up on a record cannot be used any further: the broker expects the sequence number it
    gave away. So any failure ends it, and the next send makes a new one. What was in flight may then arrive
    twice: receivers drop repeats by the numbers that the records carry.
    """

    def __init__(self, settings: KafkaSettings, *, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._making = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self.state: PublisherState = "new"
        self.last_error: str | None = None

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, partition: int | None = None
    ) -> None:
        """Return once all replicas in sync have the record; raise KafkaError where that is not known."""
        producer = await self._current()
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._note_failure, _NO_ANSWER)
        try:
            if partition is not None and partition not in await producer.partitions_for(topic):
                raise UnknownTopicOrPartitionError(f"topic {topic} has no partition {partition}")
            await producer.send_and_wait(topic, value, key=key, partition=partition)
        except KafkaError as error:
            self._give_up(producer, error)
            raise
        finally:
            slow.cancel()
        self._note_success()

    async def deliver(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, partition: int | None = None
    ) -> None:
        """Send, again and again until it is acknowledged."""
        tries = 0
        while True:
            try:
                await self.send(topic, value, key=key, partition=partition)
            except KafkaError:
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1
            else:
                return

    async def stop(self, *, within_seconds: float = 2.0) -> None:
        """Close the producer, waiting no longer than that for a broker that does not answer."""
        self.state = "stopped"
        if self._producer is not None:
            self._close(self._producer)
            self._producer = None
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=within_seconds)
            for task in late:
                task.cancel()

    async def _current(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._making:
            if self._producer is None:
                self._producer = await self._make()
            return self._producer

    async def _make(self) -> AIOKafkaProducer:
        producer = idempotent_producer(self._settings, client_id=self._client_id)
        try:
            # Not wait_for, which forgets that it was cancelled if the start fails in the same moment.
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                await producer.start()
        except BaseException as error:
            self._close(producer)
            if isinstance(error, TimeoutError):
                error = KafkaError(f"no producer after {REQUEST_TIMEOUT_SECONDS:g} s")
            self._note_failure(error)
            raise error from None
        return producer

    def _give_up(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        if self._producer is producer:
            self._producer = None
            self._close(producer)
        self._note_failure(error)

    def _close(self, producer: AIOKafkaProducer) -> None:
        # Closing waits for what is in flight, up to the request timeout; nobody else should.
        task = asyncio.get_running_loop().create_task(producer.stop())
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("a producer that was given up did not close cleanly: %r", error)

    def _note_success(self) -> None:
        if self.state != "connected":
            logger.info("Kafka at %s: publishing", self._settings.kafka)
        self.state, self.last_error = "connected", None

    def _note_failure(self, error: BaseException) -> None:
        self.last_error = str(error) or type(error).__name__
        if self.state not in ("down", "stopped"):
            logger.warning("Kafka at %s: %s; trying again until it answers", self._settings.kafka, error)
            self.state = "down"
