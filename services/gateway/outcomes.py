"""Outcomes to Kafka: gathered, numbered, sent in order, and never a reason for a request to wait or fail.

Each partition has one batch in flight. A quiet partition sends at once; a busy one sends on a common beat of
at most ``gather_seconds``, so that the batches of all partitions share a request to the broker. A batch is
sent until it is acknowledged, always with the same first number, so whoever counts can drop repeats and see
gaps.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from uuid import UUID, uuid4

from services.domain.assignment import outcome_partition
from services.domain.configuration import InstallationConfig
from services.domain.events import Outcome
from services.gateway.buffers import PartitionBuffer
from services.gateway.journal import SequenceJournal, adopt_orphans
from services.messaging.codec import encode_batch, encode_outcome
from services.messaging.publisher import Publisher

logger = logging.getLogger(__name__)

REPORT_SHED_SECONDS = 10.0


class OutcomePublisher:
    """Everything between an outcome and its acknowledgement. ``limit_bytes`` bounds what is kept."""

    def __init__(
        self, publisher: Publisher, topic: str, state_dir: Path, *, gather_seconds: float, limit_bytes: int
    ) -> None:
        self.gateway: UUID = uuid4()
        self.offered = self.shed = self.acknowledged = 0
        self.waiting_bytes = 0
        self._publisher = publisher
        self._topic = topic
        self._state_dir = state_dir
        self._gather_seconds = gather_seconds
        self._limit_bytes = limit_bytes
        self._journal: SequenceJournal | None = None
        self._senders: list[_PartitionSender] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._shed_reported_at = float("-inf")

    @property
    def publisher(self) -> Publisher:
        """The producer behind it, for its state."""
        return self._publisher

    @property
    def waiting_seconds(self) -> float:
        """How long the batch that is in flight for longest has been waiting to be acknowledged."""
        now = asyncio.get_running_loop().time()
        return max((now - one.sent_at for one in self._senders if one.in_flight), default=0.0)

    @property
    def limit_bytes(self) -> int:
        """How much is kept while Kafka does not take it."""
        return self._limit_bytes

    def start(self, installation: InstallationConfig) -> None:
        """Begin sending; what dead gateways left behind is announced first.

        Called again where the snapshot was another installation's: what waits then has nowhere to go.
        """
        self._abandon()
        partitions = installation.outcome_partitions
        orphans = list(adopt_orphans(self._state_dir, installation.installation_id))
        self._journal = SequenceJournal.create(
            self._state_dir, self.gateway, installation.installation_id, partitions
        )
        buffers = [PartitionBuffer(partition, self._journal.numbers) for partition in range(partitions)]
        self._senders = [_PartitionSender(self, buffer) for buffer in buffers]
        create = asyncio.get_running_loop().create_task
        self._tasks = [create(sender.run()) for sender in self._senders]
        self._tasks += [create(self._announce(orphan)) for orphan in orphans]

    def _abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
            self.gateway = uuid4()
            self.waiting_bytes = 0

    def offer(self, outcome: Outcome) -> None:
        """Take an outcome; keep it, or shed it when too much is waiting already."""
        self.offered += 1
        sender = self._senders[outcome_partition(outcome.unit_hash, len(self._senders))]
        encoded = encode_outcome(outcome)
        if self.waiting_bytes + len(encoded) > self._limit_bytes:
            sender.buffer.shed()
            self._note_shed()
            return
        self.waiting_bytes += len(encoded)
        sender.buffer.add(encoded)
        sender.wake()

    async def stop(self, *, within_seconds: float) -> None:
        """Send what is waiting, as far as the time allows; leave the journal where it was not enough."""
        if self._journal is None:
            return
        flushed = await self._flush(within_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        journal, self._journal = self._journal, None
        if flushed:
            journal.remove()
        else:
            logger.warning("stopping with %d bytes of outcomes not acknowledged", self.waiting_bytes)
            journal.close()

    async def send(self, partition: int, gateway: UUID, first_sequence: int, outcomes: list[bytes]) -> None:
        """Send one batch until it is acknowledged."""
        value = encode_batch(gateway, first_sequence, outcomes)
        await self._publisher.deliver(self._topic, value, partition=partition)

    @property
    def gather_seconds(self) -> float:
        """The longest that an outcome waits for others."""
        return self._gather_seconds

    async def _flush(self, within_seconds: float) -> bool:
        flushing = [asyncio.create_task(sender.flush()) for sender in self._senders]
        if not flushing:
            return True
        done, late = await asyncio.wait(flushing, timeout=within_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late and all(task.exception() is None for task in done)

    async def _announce(self, orphan: SequenceJournal) -> None:
        """Tell how far a dead gateway had counted."""
        try:
            numbered = [(partition, next_) for partition, next_ in enumerate(orphan.numbers) if next_]
            for partition, next_sequence in numbered:
                await self.send(partition, orphan.gateway, next_sequence, [])
        except asyncio.CancelledError:
            orphan.close()
            raise
        logger.info("announced gateway %s, which died: %d partitions", orphan.gateway, len(numbered))
        orphan.remove()

    def _note_shed(self) -> None:
        self.shed += 1
        now = asyncio.get_running_loop().time()
        if now - self._shed_reported_at >= REPORT_SHED_SECONDS:
            self._shed_reported_at = now
            logger.error(
                "shedding outcomes: %d bytes wait for Kafka (%s); %d shed so far, they will show as missing",
                self.waiting_bytes,
                self._publisher.last_error or "it is slow",
                self.shed,
            )


class _PartitionSender:
    """Sends one partition's batches, one at a time."""

    def __init__(self, owner: OutcomePublisher, buffer: PartitionBuffer) -> None:
        self.buffer = buffer
        self._owner = owner
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._announced = 0
        self.sent_at = float("-inf")
        self.in_flight = False

    def wake(self) -> None:
        """There is something to send."""
        if self._idle.is_set():
            self._idle.clear()
            self._filled.set()

    async def run(self) -> None:
        """Send for ever."""
        clock, gather = asyncio.get_running_loop().time, self._owner.gather_seconds
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self.buffer:
                if clock() - self.sent_at < gather and not self.buffer.full:
                    await asyncio.sleep(gather - clock() % gather)
                self.sent_at, self.in_flight = clock(), True
                await self._send_one()
                self.in_flight = False
            self._idle.set()

    async def _send_one(self) -> None:
        batch = self.buffer.take()
        await self._owner.send(
            self.buffer.partition, self._owner.gateway, batch.first_sequence, batch.outcomes
        )
        self._announced = batch.next_sequence
        self._owner.acknowledged += len(batch.outcomes)
        self._owner.waiting_bytes -= batch.size

    async def flush(self) -> None:
        """Return once everything is acknowledged, and what was shed last is announced."""
        await self._idle.wait()
        if self._announced < self.buffer.next_sequence:
            await self._owner.send(self.buffer.partition, self._owner.gateway, self.buffer.next_sequence, [])
