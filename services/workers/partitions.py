"""Counting one partition, from where its counts end; and before that, where its bucket sums end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from services.domain.events import DeadLetter
from services.messaging.codec import DecodedRecord, Unreadable, decode_record, encode_feedback, encode_outcome
from services.workers.counts import Delta, GatewayDelta, PartitionDelta, Position, Record
from services.workers.endings import Endings
from services.workers.ledgers import Ledgers
from services.workers.memory import Memory

MINUTE_MS = 60_000

Refused = Mapping[int | None, str]
"""Why an outcome of a record, by its index, cannot be stored; None stands for the whole record."""


class MissingRecords(Exception):
    """A record came before the one that was expected: something was lost on the way to this process."""


@dataclass(slots=True)
class Replay:
    """What is counted already, but missing in the bucket sums: the records before ``until``."""

    until: int
    memory: Memory
    """As it was where the bucket sums end."""


@dataclass(slots=True)
class Partition:
    """A partition of ``outcomes.v1`` as its owner knows it; the record at ``next_offset`` is read next."""

    topic: str
    partition: int
    epoch: int
    next_offset: int
    tick: int = 0
    sequences: dict[UUID, int] = field(default_factory=dict)
    endings: Endings = field(default_factory=Endings)
    replay: Replay | None = None
    ledgers: Ledgers = field(init=False)
    _memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.ledgers = Ledgers(self.partition)
        self._memory = Memory(self.partition, self.sequences, self.ledgers, self.endings)

    @property
    def counted_offset(self) -> int:
        """Up to where the partition is counted."""
        return self.next_offset if self.replay is None else self.replay.until

    @property
    def known_sequences(self) -> dict[UUID, int]:
        """The gateways' next numbers where the bucket sums end."""
        return dict(self.sequences if self.replay is None else self.replay.memory.sequences)

    def replay_from(self, offset: int, memory: Memory) -> None:
        """Read from ``offset`` on, before where the counts end, for the bucket sums alone."""
        self.replay = Replay(self.next_offset, memory)
        self.next_offset = offset

    def count(self, record: Record, delta: Delta, refused: Refused | None = None) -> bool:
        """Count a record into ``delta``; False where it was counted before.

        Raises MissingRecords where it is not the next one.
        """
        if record.offset < self.next_offset:
            return False
        if record.offset > self.next_offset:
            raise MissingRecords(
                f"{self.topic}/{self.partition}: expected offset {self.next_offset}, got {record.offset}"
            )
        self.next_offset = record.offset + 1
        batch = decode_record(record.value)
        if self.replay is not None:
            self._count_again(batch, self.replay, delta)
        else:
            self._count(record, _without_refused(batch, record, refused), delta)
        return True

    def _count(self, record: Record, batch: DecodedRecord, delta: Delta) -> None:
        moved = self._moved(record, delta)
        first = self._first_new(batch, moved, delta)
        self._place(batch, self._memory, delta)
        for unreadable in batch.unreadable:
            if unreadable.index is None or unreadable.index >= first:
                self._dead_letter(record, unreadable, moved, delta)
        gathered, before = delta.observations, delta.observations.gathered
        problems = self._memory.observe(
            batch,
            first,
            gathered,
            self.tick,
            timestamp_ms=record.timestamp_ms,
        )
        problems += self._memory.observe_feedback(batch.feedback, gathered, delta.quality)
        for index, problem in problems:
            self._dead_letter(record, Unreadable(index, problem, _payload(batch, index)), moved, delta)
        counted = gathered.gathered - before
        moved.outcomes_counted += counted
        delta.outcomes += counted + len(batch.feedback)
        if batch.gateway is not None:
            delta.gateways[self.partition, batch.gateway].outcomes_counted += counted

    def _count_again(self, batch: DecodedRecord, replay: Replay, delta: Delta) -> None:
        first, _ = replay.memory.first_new(batch)
        self._place(batch, replay.memory, delta)
        replay.memory.observe(batch, first, delta.replayed[-1], self.tick)
        replay.memory.observe_feedback(batch.feedback, delta.replayed[-1], Counter())
        delta.outcomes += len(batch.outcomes) + len(batch.feedback)
        if self.next_offset >= replay.until:
            self.replay = None

    def _place(self, batch: DecodedRecord, memory: Memory, delta: Delta) -> None:
        position = delta.positions.get(self.partition)
        if position is None:
            position = delta.positions[self.partition] = Position(self.next_offset, self.tick)
        position.next_offset, position.tick = self.next_offset, self.tick
        if batch.gateway is not None:
            position.sequences[batch.gateway] = memory.sequences[batch.gateway]

    def _moved(self, record: Record, delta: Delta) -> PartitionDelta:
        # The broker's clock may step back; a minute that was closed stays closed.
        self.tick = max(self.tick, record.timestamp_ms // MINUTE_MS)
        moved = delta.partitions.get(self.partition)
        if moved is None:
            moved = PartitionDelta(record.offset, record.offset, self.tick)
            delta.partitions[self.partition] = moved
        moved.to_offset = self.next_offset
        moved.tick = self.tick
        moved.last = record
        delta.records.append(record)
        return moved

    def _first_new(self, batch: DecodedRecord, moved: PartitionDelta, delta: Delta) -> int:
        """Return the index of the batch's first outcome that did not come before; book repeats and gaps."""
        repeated, missing = self._memory.first_new(batch)
        if batch.gateway is None:
            return repeated
        gateway = delta.gateways.get((self.partition, batch.gateway))
        if gateway is None:
            gateway = delta.gateways[self.partition, batch.gateway] = GatewayDelta(0)
        gateway.missing += missing
        gateway.duplicates_dropped += repeated
        moved.duplicates_dropped += repeated
        gateway.next_sequence = self.sequences[batch.gateway]
        return repeated

    def _dead_letter(
        self, record: Record, unreadable: Unreadable, moved: PartitionDelta, delta: Delta
    ) -> None:
        moved.dead_lettered += 1
        delta.dead_letters.append(
            DeadLetter(
                self.topic,
                self.partition,
                record.offset,
                unreadable.index,
                unreadable.reason,
                unreadable.payload,
            )
        )


def _payload(batch: DecodedRecord, index: int) -> bytes:
    """Return the bytes of one outcome or report."""
    for place, feedback in batch.feedback:
        if place == index:
            return encode_feedback(feedback)
    return encode_outcome(batch.outcomes[batch.indices.index(index)])


def _without_refused(batch: DecodedRecord, record: Record, refused: Refused | None) -> DecodedRecord:
    """Turn what Postgres refused into unreadable outcomes."""
    if not refused:
        return batch
    if None in refused:
        return DecodedRecord(unreadable=[Unreadable(None, refused[None], record.value or b"")])
    indices = [*batch.indices, *(index for index, _ in batch.feedback)]
    unreadable = [
        Unreadable(index, refused[index], _payload(batch, index)) for index in indices if index in refused
    ]
    kept = [place for place, index in enumerate(batch.indices) if index not in refused]
    return DecodedRecord(
        batch.gateway,
        batch.first_sequence,
        batch.length,
        [batch.indices[place] for place in kept],
        [batch.outcomes[place] for place in kept],
        [*batch.unreadable, *unreadable],
        [(index, one) for index, one in batch.feedback if index not in refused],
    )
