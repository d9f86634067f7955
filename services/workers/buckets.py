"""The bucket sums of the partitions this process owns: taken over from the counts, and written now and then.

They get only what the counts have written, so they are never ahead of them, and have a progress of their own:
whole rows are large, and nobody waits for them for a second or two. The longer a flush takes, the longer the
next one is put off, so that flushing has a bounded share of a busy worker's time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.events import Touched
from services.storage import buckets
from services.storage.bucket_writing import BucketAdvance, BucketFlush, LedgerSizes, SumsToWrite, write
from services.storage.claims import Fenced
from services.storage.pruning import prune
from services.workers.bucket_sums import BucketSums
from services.workers.columns import Columns
from services.workers.counts import Observed
from services.workers.doubt import end_process
from services.workers.endings import Endings
from services.workers.flushing import RETRY_SECONDS, STORAGE_ERRORS, CommitUnknown, Result, commit
from services.workers.metrics import WorkerMetrics
from services.workers.partitions import Partition
from services.workers.plans import Plans
from services.workers.settings import WorkerSettings
from services.workers.unit_ledgers import Grown, newest

logger = logging.getLogger(__name__)

T = TypeVar("T")
Notify = Callable[[Iterable[Touched]], None]

ENDINGS_EVERY_SECONDS = 10.0
"""How often it is looked up which experiments ended, and some of what is left of old ones deleted."""
ROWS_TOGETHER = 256
"""Partitions with no more rows to write than this share a transaction; of each, what is written is copied."""


@dataclass(slots=True)
class Shelf:
    """How far one partition's sums are, in memory and in Postgres, and what was known there."""

    epoch: int
    written: int
    next_offset: int
    tick: int
    sequences: dict[UUID, int]
    grown: list[Grown] = field(default_factory=list)
    """The ledgers that changed since the last flush."""


class Buckets:
    """Keeps and writes the bucket sums. ``notify`` is told what was touched after each flush."""

    def __init__(
        self,
        engine: AsyncEngine,
        topic: str,
        partitions: int,
        settings: WorkerSettings,
        *,
        endings: Endings,
        notify: Notify,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._engine = engine
        self._topic = topic
        self._settings = settings
        self._notify = notify
        self._metrics = metrics or WorkerMetrics()
        self._plans = Plans(endings)
        self._sums = BucketSums(partitions, self._plans)
        self._shelves: dict[int, Shelf] = {}
        self._waiting: deque[Observed] = deque()
        self._waiting_size = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._busy = asyncio.Lock()
        self._due = 0.0
        self._endings_due = 0.0
        self.flushes = 0
        """How many flushes there were."""

    @property
    def offsets(self) -> dict[int, int]:
        """Up to where the sums of each partition are written. Safe in another thread than the loop's."""
        return {number: shelf.written for number, shelf in list(self._shelves.items())}

    def claim(self, partitions: Iterable[Partition]) -> None:
        """Keep the sums of claimed partitions from here on, instead of any others."""
        self._sums.clear()
        self._waiting.clear()
        self._waiting_size = 0
        self._room.set()
        self._shelves = {
            one.partition: Shelf(one.epoch, one.next_offset, one.next_offset, one.tick, one.known_sequences)
            for one in partitions
        }

    def take_over(self, observed: Observed) -> None:
        """Take over what the counts have written."""
        if not observed.positions:
            return
        self._waiting.append(observed)
        self._waiting_size += observed.size
        if self._waiting_size > self._settings.unflushed_outcomes_limit:
            self._room.clear()
        self._news.set()

    async def room(self) -> None:
        """Return once there is room for more observations."""
        await self._room.wait()

    async def release(self) -> None:
        """Write everything, and keep nothing more until the next claim."""
        async with self._busy:
            await self._add_waiting()
            await self._flush()
            self.claim(())

    def hurry(self) -> None:
        """Write the sums as soon as possible."""
        self._due = 0.0
        self._news.set()

    async def run(self) -> NoReturn:
        """Add up and write for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_news(self._next_due() - loop.time())
            async with self._busy:
                await self._add_waiting()
                started = loop.time()
                if started >= self._due and self._has_progress():
                    await self._flush()
                    self._due = loop.time() + self._rest(loop.time() - started)
            if loop.time() >= self._endings_due:
                await self._look_for_endings()
                self._endings_due = loop.time() + ENDINGS_EVERY_SECONDS

    def _rest(self, seconds: float) -> float:
        """How long to wait after a flush that took so long."""
        settings = self._settings
        share = settings.bucket_flush_share
        fair = seconds * (1 - share) / share
        return min(max(fair, settings.bucket_flush_seconds), settings.bucket_flush_longest_seconds)

    def _next_due(self) -> float:
        return min(self._due, self._endings_due) if self._has_progress() else self._endings_due

    def _has_progress(self) -> bool:
        return any(shelf.next_offset != shelf.written for shelf in self._shelves.values())

    async def _wait_for_news(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def _add_waiting(self) -> None:
        while self._waiting:
            if self._sums.bytes > self._settings.bucket_sums_bytes and self._has_progress():
                await self._flush()
            # It stays in the queue, and so in the way of too much more, until it is added.
            observed = self._waiting[0]
            for columns in observed.columns:
                await self._add(columns)
            self._waiting.popleft()
            self._waiting_size -= observed.size
            self._note(observed)
        self._room.set()

    async def _add(self, columns: Columns) -> None:
        if unknown := self._sums.unknown_experiments(columns):
            await self._patiently(lambda connection: self._plans.load(connection, unknown))
        if values := self._sums.unknown_values(columns):
            await self._patiently(lambda connection: self._plans.register(connection, values))
        if keys := self._sums.lacking(columns):
            stored = await self._patiently(lambda connection: buckets.read_rows(connection, keys))
            self._sums.load(keys, stored)
        self._sums.add(columns, asyncio.get_running_loop().time())

    def _note(self, observed: Observed) -> None:
        for number, position in observed.positions.items():
            shelf = self._shelves[number]
            shelf.next_offset, shelf.tick = position.next_offset, position.tick
            shelf.sequences |= position.sequences
        for grown in observed.grown:
            self._shelves[grown.partition].grown.append(grown)

    async def _flush(self) -> None:
        changed = self._sums.changed()
        together: list[int] = []
        for number in [
            number for number, shelf in self._shelves.items() if shelf.next_offset != shelf.written
        ]:
            if together and sum(changed[one] for one in (*together, number)) > ROWS_TOGETHER:
                await self._flush_partitions(together)
                together = []
            together.append(number)
        if together:
            await self._flush_partitions(together)
        self.flushes += 1
        self._sums.forget_idle(asyncio.get_running_loop().time(), self._settings.bucket_sums_bytes)

    async def _flush_partitions(self, numbers: list[int]) -> None:
        flush = self._build(numbers)
        tries, started = 0, time.monotonic()
        while True:
            try:
                result = await commit(self._engine, lambda connection: write(connection, flush))
            except Fenced as fenced:
                end_process(f"{fenced}; what was added here and not written is added there")
            except CommitUnknown as unknown:
                end_process(f"the answer to a commit of bucket sums was lost: {unknown}")
            if result is Result.WRITTEN:
                break
            if result is Result.REFUSED:
                end_process("Postgres refused bucket sums")
            self._metrics.flush_failed("sums", "not_written")
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
            tries += 1
        self._metrics.sums_flushed(flush.quality, time.monotonic() - started)
        for advance in flush.advances:
            self._shelves[advance.partition].written = advance.to_offset
        self._notify(_touched(flush))

    def _build(self, numbers: list[int]) -> BucketFlush:
        flush = BucketFlush(self._topic, sums=self._sums.take(numbers))
        flush.quality = self._sums.take_noticed(numbers)
        for number in numbers:
            shelf = self._shelves[number]
            flush.advances.append(
                BucketAdvance(
                    number,
                    shelf.epoch,
                    shelf.written,
                    shelf.next_offset,
                    shelf.tick,
                    dict(shelf.sequences),
                )
            )
            flush.ledgers += [LedgerSizes(number, *key, sizes) for key, sizes in newest(shelf.grown).items()]
            shelf.grown = []
        return flush

    async def _look_for_endings(self) -> None:
        try:
            async with self._engine.connect() as connection:
                await self._plans.refresh(connection)
            async with self._engine.begin() as connection:
                await prune(connection, self._topic)
        except STORAGE_ERRORS as error:
            logger.warning("cannot look which experiments ended: %s", error)

    async def _patiently(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do it in a transaction of its own, as often as it takes."""
        while True:
            try:
                async with self._engine.begin() as connection:
                    return await work(connection)
            except STORAGE_ERRORS as error:
                logger.warning("bucket sums wait for Postgres: %s", error)
                await asyncio.sleep(RETRY_SECONDS[-1])


def _touched(flush: BucketFlush) -> list[Touched]:
    offsets = {advance.partition: advance.to_offset for advance in flush.advances}

    def touched(sums: SumsToWrite) -> Touched:
        return Touched(sums.experiment_id, sums.phase, sums.partition, offsets[sums.partition])

    return list({(one.experiment_id, one.phase): touched(one) for one in flush.sums}.values())
