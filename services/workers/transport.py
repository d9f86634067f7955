"""Faust's consumer, taught to claim.

Where a consumer goes on is decided in ``seek_to_committed``: the one place from which a seek holds, because
Faust calls it after every other seek of a rebalance and before anything is fetched. Offsets are never
committed to Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import NoOffsetForPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.workers.doubt import end_process
from services.workers.log_ends import LogEnd
from services.workers.positions import LogRange

logger = logging.getLogger(__name__)


class Ownership(Protocol):
    """Who is asked where to go on, and told when to let go."""

    claim_timeout_seconds: float

    async def claim(self, assigned: set[TP], consumer: ClaimingConsumer) -> Mapping[TP, int]:
        """Take over what was assigned; return the offsets to go on from."""
        ...

    async def release(self) -> None:
        """Finish what was begun, before others may take over."""
        ...


class ClaimingConsumer(driver.Consumer):
    """A consumer whose position comes from its Ownership, once for each assignment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ownership: Ownership = self.app.ownership  # type: ignore[attr-defined]
        self._changing_hands = asyncio.Lock()
        self._unclaimed = False

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let go before Kafka gives the partitions to anybody: it waits for this."""
        await super().on_partitions_revoked(revoked)
        async with self._changing_hands:
            self._unclaimed = False
            await self._bounded("handing over", self._ownership.release())

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note that a claim is due; Faust asks for it through ``seek_to_committed``."""
        self._unclaimed = True
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Claim what was assigned and seek to where it goes on.

        Faust also calls this when it merely woke up in the middle of a rebalance; then there is nothing to
        claim. The next rebalance may cancel it; the claim itself is not, and the next handover waits for it.
        """
        claim = asyncio.ensure_future(self._claim_once())
        return await asyncio.shield(claim)

    async def _claim_once(self) -> Mapping[TP, int]:
        async with self._changing_hands:
            if not self._unclaimed:
                return {}
            positions: Mapping[TP, int] = await self._bounded("claiming", self._claim_and_seek())
            self._unclaimed = False
            return positions

    async def _claim_and_seek(self) -> Mapping[TP, int]:
        positions = await self._ownership.claim(self.assignment(), self)
        await self.seek_wait(positions)
        return positions

    async def _bounded(self, what: str, work: Any) -> Any:
        # Faust would go on without having sought, in the group and consuming nothing, and not say a word.
        try:
            async with asyncio.timeout(self._ownership.claim_timeout_seconds):
                return await work
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
            end_process(f"{what} the partitions failed: {error!r}", error)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        try:
            return await super()._getmany(active_partitions, timeout)
        except NoOffsetForPartitionError:
            # Between assignment and claim aiokafka finds no committed offset, and there never is one.
            if not self.app.rebalancing:
                raise
            return {}

    async def ranges(self, tps: Sequence[TP]) -> dict[TP, LogRange]:
        """Return the offsets that each partition holds at this moment."""
        starts = await self.earliest_offsets(*tps)
        ends = await self.highwaters(*tps)
        return {tp: LogRange(starts[tp], ends[tp]) for tp in tps}

    def partition_count(self, topic: str) -> int:
        """Return how many partitions the topic has now."""
        return len(self._thread._ensure_consumer().partitions_for_topic(topic) or ())  # noqa: SLF001

    def log_end(self, tp: TP) -> LogEnd | None:
        """Return the end of the log as the broker's newest answer to a fetch has it."""
        subscription = self._thread._ensure_consumer()._subscription.subscription  # noqa: SLF001
        assignment = subscription.assignment if subscription else None
        state = assignment.state_value(tp) if assignment else None
        if state is None or state.highwater is None or state.timestamp is None:
            return None
        return LogEnd(state.highwater, time.monotonic() - (time.time() - state.timestamp / 1000))


class Transport(driver.Transport):
    """Faust's Kafka transport with the claiming consumer."""

    Consumer = ClaimingConsumer
