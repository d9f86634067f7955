"""Counting one partition: a pure function of the records, in order, and of what was known at the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from services.domain.assignment import BASIS_POINTS
from services.domain.events import DeadLetter, Outcome
from services.messaging.codec import DecodedBatch, Unreadable, decode_batch, encode_outcome
from services.workers.counts import Delta, ExperimentTally, GatewayDelta, LedgerKey, PartitionDelta, Record
from services.workers.units import UnitLedger

MINUTE_MS = 60_000
UNIT_HASHES = 1 << 64

Refused = Mapping[int | None, str]
"""Why an outcome of a record, by its index, cannot be stored; None stands for the whole record."""


class MissingRecords(Exception):
    """A record came before the one that was expected: something was lost on the way to this process."""


@dataclass(slots=True)
class Partition:
    """A partition of ``outcomes.v1`` as its owner knows it."""

    topic: str
    partition: int
    epoch: int
    next_offset: int
    tick: int = 0
    sequences: dict[UUID, int] = field(default_factory=dict)
    ledgers: dict[LedgerKey, UnitLedger] = field(default_factory=dict)

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
        moved = self._moved(record, delta)
        batch = _without_refused(decode_batch(record.value), record, refused)
        first = self._first_new(batch, moved, delta)
        for unreadable in batch.unreadable:
            if unreadable.index is None or unreadable.index >= first:
                self._dead_letter(record, unreadable, moved, delta)
        counted = 0
        for index, outcome in batch.outcomes:
            if index < first:
                continue
            problem = _problem(outcome)
            if problem is None:
                counted += 1
                self._count_outcome(outcome, record, delta)
            else:
                self._dead_letter(record, Unreadable(index, problem, encode_outcome(outcome)), moved, delta)
        self._book(batch, counted, moved, delta)
        return True

    def _moved(self, record: Record, delta: Delta) -> PartitionDelta:
        # The broker's clock may step back; a minute that was closed stays closed.
        self.tick = max(self.tick, record.timestamp_ms // MINUTE_MS)
        moved = delta.partitions.get(self.partition)
        if moved is None:
            moved = PartitionDelta(self.next_offset, self.next_offset, self.tick)
            delta.partitions[self.partition] = moved
        self.next_offset = moved.to_offset = record.offset + 1
        moved.tick = self.tick
        moved.last = record
        delta.records.append(record)
        return moved

    def _first_new(self, batch: DecodedBatch, moved: PartitionDelta, delta: Delta) -> int:
        """Return the index of the batch's first outcome that did not come before; book repeats and gaps."""
        if batch.gateway is None:
            return 0
        expected = self.sequences.get(batch.gateway, 0)
        gateway = delta.gateways.get((self.partition, batch.gateway))
        if gateway is None:
            gateway = delta.gateways[self.partition, batch.gateway] = GatewayDelta(expected)
        end = batch.first_sequence + batch.length
        repeated = min(max(expected - batch.first_sequence, 0), batch.length)
        gateway.missing += max(batch.first_sequence - expected, 0)
        gateway.duplicates_dropped += repeated
        moved.duplicates_dropped += repeated
        gateway.next_sequence = self.sequences[batch.gateway] = max(expected, end)
        return repeated

    def _count_outcome(self, outcome: Outcome, record: Record, delta: Delta) -> None:
        delta.add_to_route(outcome, self.tick)
        for assigned in outcome.assignments:
            key = (self.partition, assigned.experiment_id, assigned.phase)
            tally = delta.tallies.get(key)
            if tally is None:
                ledger = self.ledgers.setdefault((assigned.experiment_id, assigned.phase), UnitLedger())
                tally = delta.tallies[key] = ExperimentTally(ledger)
            tally.next_offset = self.next_offset
            tally.add(outcome, assigned, self.tick, record.timestamp_ms)

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

    def _book(self, batch: DecodedBatch, counted: int, moved: PartitionDelta, delta: Delta) -> None:
        moved.outcomes_counted += counted
        delta.outcomes += counted
        if batch.gateway is not None:
            delta.gateways[self.partition, batch.gateway].outcomes_counted += counted


def _problem(outcome: Outcome) -> str | None:
    """Say why an outcome that can be read still cannot be counted."""
    if not 0 <= outcome.unit_hash < UNIT_HASHES:
        return f"unit_hash {outcome.unit_hash} is not a 64-bit number"
    for assigned in outcome.assignments:
        if not 0 < assigned.propensity_bp < BASIS_POINTS:
            return (
                f"propensity {assigned.propensity_bp} of {BASIS_POINTS}: a unit that could not have got the "
                "other variant is not randomised and must carry no assignment"
            )
    return None


def _without_refused(batch: DecodedBatch, record: Record, refused: Refused | None) -> DecodedBatch:
    """Turn what Postgres refused into unreadable outcomes."""
    if not refused:
        return batch
    if None in refused:
        whole = Unreadable(None, refused[None], record.value or b"")
        return DecodedBatch(None, 0, 0, [], [whole])
    unreadable = [
        Unreadable(index, refused[index], encode_outcome(outcome))
        for index, outcome in batch.outcomes
        if index in refused
    ]
    kept = [(index, outcome) for index, outcome in batch.outcomes if index not in refused]
    return DecodedBatch(
        batch.gateway, batch.first_sequence, batch.length, kept, batch.unreadable + unreadable
    )
