"""Outcomes on their way to one partition, numbered without a gap and gathered into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from dataclasses import dataclass, field

BATCH_BYTES = 64 * 1024
"""A batch is closed once it holds this much; one record must stay below what brokers accept."""


@dataclass(slots=True)
class Batch:
    """Outcomes with consecutive numbers, each encoded."""

    first_sequence: int
    outcomes: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def next_sequence(self) -> int:
        """The number after the last one."""
        return self.first_sequence + len(self.outcomes)


class PartitionBuffer:
    """Numbers outcomes in ``numbers[partition]`` and keeps them until they are taken."""

    def __init__(self, partition: int, numbers: MutableSequence[int] | memoryview[int]) -> None:
        self.partition = partition
        self._numbers = numbers
        self._batches: deque[Batch] = deque()
        self._last: Batch | None = None
        """The batch that is being filled."""

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def next_sequence(self) -> int:
        """The number that the next outcome gets."""
        return self._numbers[self.partition]

    @property
    def full(self) -> bool:
        """Whether a whole batch is ready, so that gathering on gains nothing."""
        return bool(self._batches) and self._batches[0].size >= BATCH_BYTES

    def add(self, outcome: bytes) -> None:
        """Number an outcome and keep it."""
        sequence = self._numbers[self.partition]
        self._numbers[self.partition] = sequence + 1
        last = self._last
        if last is None or last.size >= BATCH_BYTES or last.first_sequence + len(last.outcomes) != sequence:
            last = self._last = Batch(sequence)
            self._batches.append(last)
        last.outcomes.append(outcome)
        last.size += len(outcome)

    def shed(self) -> None:
        """Number an outcome that is not kept: behind Kafka the gap shows that one is missing."""
        self._numbers[self.partition] += 1

    def take(self) -> Batch:
        """Remove the oldest batch, closed or not."""
        taken = self._batches.popleft()
        if taken is self._last:
            self._last = None
        return taken
