"""Comparisons and coverage on their way to Kafka: gathered, bounded, sent until they are acknowledged."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Never
from uuid import UUID

from services.domain.events import Comparison, ShadowCoverage
from services.messaging.comparison_codec import encode_comparison, encode_comparisons
from services.messaging.publisher import Publisher
from services.messaging.topics import comparisons_partition

GATHER_SECONDS = 0.05
BATCH_BYTES = 512 * 1024
"""A record is closed once it holds this much; brokers accept twice as much."""


class ComparisonSender:
    """What a gateway has to say of its shadows. ``limit_bytes`` bounds what waits for Kafka."""

    def __init__(self, publisher: Publisher, topic: str, gateway: UUID, *, limit_bytes: int) -> None:
        self._publisher = publisher
        self._topic = topic
        self._gateway = gateway
        self._limit_bytes = limit_bytes
        self._waiting: dict[UUID, deque[bytes]] = {}
        self._coverage: dict[UUID, dict[int, bytes]] = {}
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.waiting_bytes = 0

    @property
    def full(self) -> bool:
        """Whether as much waits for Kafka as may."""
        return self.waiting_bytes >= self._limit_bytes

    def offer(self, comparison: Comparison) -> None:
        """Send a comparison soon."""
        encoded = encode_comparison(comparison)
        self.waiting_bytes += len(encoded)
        self._waiting.setdefault(comparison.experiment_id, deque()).append(encoded)
        self._wake()

    def cover(self, coverage: ShadowCoverage) -> None:
        """Send the newest counts of an experiment and phase soon."""
        self._coverage.setdefault(coverage.experiment_id, {})[coverage.phase] = encode_comparison(coverage)
        self._wake()

    async def run(self) -> Never:
        """Send for ever."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._filled.clear()
            while self._waiting or self._coverage:
                await self._send(next(iter(self._waiting or self._coverage)))
            if not self._filled.is_set():
                self._idle.set()

    async def flush(self) -> None:
        """Return once everything is acknowledged."""
        await self._idle.wait()

    def _wake(self) -> None:
        self._idle.clear()
        self._filled.set()

    async def _send(self, experiment_id: UUID) -> None:
        comparisons, size = self._take(experiment_id)
        # The counts go with, or after, what they count.
        coverage = {} if experiment_id in self._waiting else self._coverage.pop(experiment_id, {})
        try:
            await self._publisher.deliver(
                self._topic,
                encode_comparisons(self._gateway, comparisons, list(coverage.values())),
                key=str(experiment_id).encode(),
                partition=comparisons_partition(experiment_id),
            )
        except asyncio.CancelledError:
            self._put_back(experiment_id, comparisons, coverage)
            raise
        self.waiting_bytes -= size

    def _put_back(self, experiment_id: UUID, comparisons: list[bytes], coverage: dict[int, bytes]) -> None:
        """Whoever runs this next sends it, perhaps for the second time: that changes nothing."""
        if comparisons:
            self._waiting.setdefault(experiment_id, deque()).extendleft(reversed(comparisons))
        if coverage:
            self._coverage[experiment_id] = coverage | self._coverage.get(experiment_id, {})
        self._wake()

    def _take(self, experiment_id: UUID) -> tuple[list[bytes], int]:
        waiting, taken, size = self._waiting.get(experiment_id), list[bytes](), 0
        while waiting and size < BATCH_BYTES:
            one = waiting.popleft()
            taken.append(one)
            size += len(one)
        if waiting is not None and not waiting:
            del self._waiting[experiment_id]
        return taken, size
