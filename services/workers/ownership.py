"""What a worker owns: partitions to count, and partitions whose experiments it evaluates."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from faust.types import TP

from services.domain.errors import InstallationMismatch
from services.messaging.topics import TopicNames
from services.workers.claiming import Claimer
from services.workers.counting import Counter
from services.workers.evaluation import Evaluator
from services.workers.log_ends import LogEnd, LogEnds
from services.workers.positions import LogRange
from services.workers.transport import ClaimingConsumer

logger = logging.getLogger(__name__)


class WorkerOwnership:
    """Takes over and lets go, as Kafka assigns partitions."""

    def __init__(self, topics: TopicNames, outcome_partitions: int, *, claim_timeout_seconds: float) -> None:
        self._topics = topics
        self._outcome_partitions = outcome_partitions
        self.claim_timeout_seconds = claim_timeout_seconds
        self._consumer: ClaimingConsumer | None = None
        self._claimer: Claimer | None = None
        self._counter: Counter | None = None
        self._evaluator: Evaluator | None = None
        self._log_ends = LogEnds()

    def bind(self, claimer: Claimer, counter: Counter, evaluator: Evaluator) -> None:
        """Say who counts and who evaluates; once, before anything is assigned."""
        self._claimer, self._counter, self._evaluator = claimer, counter, evaluator

    async def claim(self, assigned: set[TP], consumer: ClaimingConsumer) -> Mapping[TP, int]:
        """Take over what was assigned; return the offsets to go on from."""
        claimer, counter, evaluator = self._bound()
        self._consumer = consumer
        counted = sorted(tp.partition for tp in assigned if tp.topic == self._topics.outcomes)
        touched = {tp for tp in assigned if tp.topic == self._topics.touched}
        self._check_partitions(consumer)
        partitions = await claimer.claim(counted, _Log(consumer, self._topics.outcomes))
        positions = {TP(self._topics.outcomes, one.partition): one.next_offset for one in partitions}
        if touched:
            # Whatever was touched before: taking over starts with a look at every experiment.
            positions |= await consumer.highwaters(*touched)
        self._log_ends.forget()
        counter.take_over(partitions)
        evaluator.take_over(tp.partition for tp in touched)
        logger.info("counting partitions %s, evaluating for %d of touched.v1", counted, len(touched))
        return positions

    async def release(self) -> None:
        """Write what was counted, and do nothing more until the next claim."""
        _, counter, evaluator = self._bound()
        evaluator.take_over(())
        await counter.release()

    def caught_up(self, partition: int, offset: int) -> float | None:
        """Return a ``time.monotonic`` at which the partition's log ended no further than here, or None."""
        if (end := self._log_end(partition)) is not None:
            self._log_ends.note(partition, end)
        return self._log_ends.reached(partition, offset)

    def log_end(self, partition: int) -> int | None:
        """Return where the partition's log ends as the broker last said, or None where it has not yet."""
        end = self._log_end(partition)
        return None if end is None else end.offset

    def _log_end(self, partition: int) -> LogEnd | None:
        return self._consumer.log_end(TP(self._topics.outcomes, partition)) if self._consumer else None

    def _bound(self) -> tuple[Claimer, Counter, Evaluator]:
        if self._claimer is None or self._counter is None or self._evaluator is None:
            raise RuntimeError("bind() comes first")
        return self._claimer, self._counter, self._evaluator

    def _check_partitions(self, consumer: ClaimingConsumer) -> None:
        found = consumer.partition_count(self._topics.outcomes)
        if found != self._outcome_partitions:
            raise InstallationMismatch(
                f"topic {self._topics.outcomes} has {found} partitions, but this installation was created "
                f"with {self._outcome_partitions}; restore the topic"
            )


class _Log:
    """The ranges of one topic, by partition number."""

    def __init__(self, consumer: ClaimingConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    async def ranges(self, partitions: Sequence[int]) -> Mapping[int, LogRange]:
        """Return the offsets that each partition holds at this moment."""
        found = await self._consumer.ranges([TP(self._topic, partition) for partition in partitions])
        return {tp.partition: log for tp, log in found.items()}
