"""The counting of a worker: records in, counts and progress out, in one transaction per flush.

A flush goes out at once when none is under way, and the next one carries whatever came meanwhile. So a quiet
worker writes each outcome at once, and a busy one writes few rows for thousands of outcomes (see ``pace``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.events import DeadLetter, Touched
from services.storage.claims import Fenced
from services.workers.buckets import Buckets
from services.workers.claiming import Claimer
from services.workers.counts import Delta, Observed, Record
from services.workers.doubt import end_process
from services.workers.flushing import (
    RETRY_SECONDS,
    STORAGE_ERRORS,
    CaughtUp,
    CommitUnknown,
    Result,
    build,
    transact,
)
from services.workers.metrics import WorkerMetrics
from services.workers.pace import rest
from services.workers.partitions import MissingRecords, Partition
from services.workers.refusals import Refusals, find_refusals
from services.workers.settings import WorkerSettings
from services.workers.usage import KeysInUse

logger = logging.getLogger(__name__)

Notify = Callable[[Iterable[Touched]], None]
Bury = Callable[[DeadLetter], Awaitable[None]]


class Counter:
    """Counts the partitions this process has claimed.

    ``notify`` is told what was touched after each flush; ``bury`` returns once Kafka has the dead letter.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        claimer: Claimer,
        buckets: Buckets,
        topic: str,
        settings: WorkerSettings,
        *,
        caught_up: CaughtUp,
        notify: Notify,
        bury: Bury,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._engine = engine
        self._claimer = claimer
        self._buckets = buckets
        self._topic = topic
        self._settings = settings
        self._caught_up = caught_up
        self._notify = notify
        self._bury = bury
        self._metrics = metrics or WorkerMetrics()
        self._partitions: dict[int, Partition] = {}
        self._pending = Delta()
        self._keys_in_use = KeysInUse()
        self._refusals: Refusals = {}
        self._buried: set[tuple[int, int, int | None]] = set()
        self._dirty = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._room = asyncio.Event()
        self._room.set()
        self._flushing = asyncio.Lock()
        self._outcomes = self._lines = 0
        """Of the last flush."""

    @property
    def partitions(self) -> list[int]:
        """The partitions that this process counts at present."""
        return list(self._partitions)

    @property
    def offsets(self) -> dict[int, int]:
        """Up to where each of them is counted. Safe in another thread than the one that counts."""
        return {one.partition: one.counted_offset for one in list(self._partitions.values())}

    @property
    def unwritten(self) -> int:
        """How many outcomes are counted and wait for the next flush."""
        return self._pending.outcomes

    def take_over(self, partitions: Iterable[Partition]) -> None:
        """Start counting claimed partitions, instead of any others."""
        self._partitions = {partition.partition: partition for partition in partitions}
        self._metrics.claimed(self._partitions)
        self._buckets.claim(self._partitions.values())

    async def release(self) -> None:
        """Write what was counted and count nothing more until the next claim."""
        while self._partitions:
            await self._settled.wait()
            # A sign of life may be under way: it must not meet the next owner's epoch.
            async with self._flushing:
                if self._settled.is_set():
                    self._partitions = {}
        await self._buckets.release()

    async def count(self, record: Record) -> None:
        """Count a record; waits while too much is counted that is not written."""
        partition = self._partitions.get(record.partition)
        if partition is None:
            # Read before its partition was given away; whoever claims it reads it again.
            return
        try:
            counted = partition.count(record, self._pending)
        except MissingRecords as gap:
            end_process(str(gap))
        if counted:
            self._settled.clear()
            self._dirty.set()
        if self._pending.outcomes > self._settings.unflushed_outcomes_limit:
            self._room.clear()
            await self._room.wait()
        await self._buckets.room()

    async def run(self) -> NoReturn:
        """Flush for ever."""
        loop = asyncio.get_running_loop()
        heartbeat_due = loop.time()
        while True:
            await self._wait_for_news(heartbeat_due - loop.time())
            started = loop.time()
            alive = started >= heartbeat_due
            if alive:
                heartbeat_due = started + self._settings.heartbeat_seconds
            async with self._flushing:
                await self._flush(everything=alive)
            least = rest(self._outcomes, self._lines, self._settings.flush_floor_seconds)
            await asyncio.sleep(started + least - loop.time())

    async def _wait_for_news(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._dirty.wait()
        except TimeoutError:
            pass

    async def _flush(self, *, everything: bool) -> None:
        delta, self._pending = self._pending, self._pending.next()
        self._dirty.clear()
        flush = build(self._topic, delta, self._partitions, self._caught_up, everything=everything)
        if flush.advances:
            flush.keys_used = self._keys_in_use.due(asyncio.get_running_loop().time())
        self._outcomes, self._lines = delta.outcomes, len(delta.columns.opened.line_keys) + len(flush.usage)
        observed = delta.observed()
        tries, started = 0, time.monotonic()
        while flush.advances:
            await self._bury_all(delta.dead_letters)
            try:
                result = await transact(self._engine, flush)
            except Fenced as fenced:
                end_process(f"{fenced}; what was counted here and not written is counted there")
            except CommitUnknown as unknown:
                end_process(f"the answer to a commit was lost: {unknown}")
            if result is Result.WRITTEN:
                self._keys_in_use.note(flush)
                self._metrics.flushed(flush, time.monotonic() - started)
                break
            if result is Result.REFUSED:
                self._metrics.flush_failed("counts", "refused")
                await self._recount(delta)
                return
            self._metrics.flush_failed("counts", "not_written")
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
            tries += 1
        self._written(delta, observed)

    def _written(self, delta: Delta, observed: Observed) -> None:
        self._buckets.take_over(observed)
        if self._refusals:
            # Read again after a crash, they would not be refused: there is nothing to write but sums.
            self._buckets.hurry()
        for record in delta.records if self._refusals else ():
            self._refusals.pop((record.partition, record.offset), None)
        self._buried.clear()
        self._notify(delta.touched())
        self._room.set()
        if not self._pending:
            self._settled.set()

    async def _bury_all(self, letters: Iterable[DeadLetter]) -> None:
        """Bury what was not buried by an earlier try: the progress may only pass what Kafka has."""
        for letter in letters:
            place = (letter.partition, letter.offset, letter.index)
            if place not in self._buried:
                logger.error("%s/%d@%d[%s] goes to the dead letters: %s", letter.topic, *place, letter.reason)
                await self._bury(letter)
                self._buried.add(place)
                is_refused = letter.index in self._refusals.get((letter.partition, letter.offset), {})
                self._metrics.buried("outcomes.v1", "refused" if is_refused else "unreadable")

    async def _recount(self, delta: Delta) -> None:
        """Find what Postgres refuses, and count everything since the last flush again without it."""
        refusals, partitions = await self._look_for_refusals(delta)
        if not refusals:
            end_process("Postgres refused a flush, but none of its outcomes alone")
        for place, indices in refusals.items():
            self._refusals.setdefault(place, {}).update(indices)
        # From here to the end nothing awaits: no record can slip in between.
        records = delta.records + self._pending.records
        self._pending = delta.only_replayed(self._pending)
        for partition in partitions:
            # What is still replayed has counted nothing, and goes on.
            if self._partitions[partition.partition].replay is None:
                self._partitions[partition.partition] = partition
        for record in records:
            partition = self._partitions[record.partition]
            partition.count(record, self._pending, self._refusals.get((record.partition, record.offset)))
        self._dirty.set()

    async def _look_for_refusals(self, delta: Delta) -> tuple[Refusals, list[Partition]]:
        epochs = {partition.partition: partition.epoch for partition in self._partitions.values()}
        while True:
            try:
                refusals = await find_refusals(self._engine, self._topic, delta.records)
                return refusals, await self._claimer.reload(epochs)
            except Fenced as fenced:
                end_process(str(fenced))
            except STORAGE_ERRORS as error:
                logger.warning("looking for what Postgres refused, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS[-1])
