"""Feedback to Kafka, acknowledged: whoever sent it hears of success only when every replica has it.

Unlike an outcome, feedback is not kept here while Kafka is away. Its sender is told to send it again, and
what had arrived after all counts once, by its event id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from services.domain.assignment import outcome_partition
from services.domain.errors import Unserveable
from services.domain.events import Feedback
from services.messaging.codec import encode_feedback, encode_feedback_batch
from services.messaging.publisher import Publisher

RECORD_BYTES = 256 * 1024
"""A record is closed once it holds this much."""
RETRY_AFTER_SECONDS = 2


class FeedbackNotStored(Unserveable):
    """Kafka did not say in time that it has the feedback."""

    code = "feedback_not_stored"


class FeedbackStore:
    """Writes feedback to ``outcomes.v1``. ``limit_bytes`` bounds what waits for Kafka at a time."""

    def __init__(self, publisher: Publisher, topic: str, *, wait_seconds: float, limit_bytes: int) -> None:
        self._publisher = publisher
        self._topic = topic
        self._wait_seconds = wait_seconds
        self._limit_bytes = limit_bytes
        self.waiting_bytes = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def store(self, feedback: Sequence[Feedback], partitions: int) -> None:
        """Return once Kafka has all of it. Raises FeedbackNotStored where that is not known in time."""
        records = _records(feedback, partitions)
        size = sum(len(value) for _, value in records)
        if self.waiting_bytes and self.waiting_bytes + size > self._limit_bytes:
            raise _not_stored("too much feedback waits for Kafka already")
        sending = [self._send(partition, value) for partition, value in records]
        done, late = await asyncio.wait(sending, timeout=self._wait_seconds)
        # Those that are late are not cancelled: what is on its way cannot be called back, and may yet arrive.
        failed = [error for task in done if (error := task.exception()) is not None]
        for error in failed:
            if not isinstance(error, KafkaError):
                raise error
        if failed or late:
            raise _not_stored("Kafka does not take it now")

    async def stop(self, *, within_seconds: float) -> None:
        """Wait for what is on its way, no longer than that."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=within_seconds)
            for task in late:
                task.cancel()
        await self._publisher.stop()

    def _send(self, partition: int, value: bytes) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(
            self._publisher.send(self._topic, value, partition=partition)
        )
        self.waiting_bytes += len(value)
        self._sending.add(task)

        def sent(task: asyncio.Task[None]) -> None:
            self.waiting_bytes -= len(value)
            self._sending.discard(task)
            if not task.cancelled():
                task.exception()

        task.add_done_callback(sent)
        return task


def _not_stored(reason: str) -> FeedbackNotStored:
    return FeedbackNotStored(
        f"the feedback is not known to be stored: {reason}; send all of it again, it counts once",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


def _records(feedback: Sequence[Feedback], partitions: int) -> list[tuple[int, bytes]]:
    """Return the records, with the partition of each."""
    by_partition: dict[int, list[bytes]] = {}
    for one in feedback:
        partition = outcome_partition(one.unit_hash, partitions)
        by_partition.setdefault(partition, []).append(encode_feedback(one))
    return [
        (partition, encode_feedback_batch(batch))
        for partition, encoded in by_partition.items()
        for batch in _batches(encoded)
    ]


def _batches(encoded: list[bytes]) -> list[list[bytes]]:
    batches: list[list[bytes]] = [[]]
    size = 0
    for one in encoded:
        if size >= RECORD_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(one)
        size += len(one)
    return batches
