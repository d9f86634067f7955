"""Evaluating experiments: at once when something was counted for them, and every second in any case.

Each experiment has its own watch, which evaluates first and rests after, so that a single outcome is judged
at once and a thousand a second cost twenty evaluations. Whatever comes during an evaluation or the rest is
judged after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.events import Touched
from services.messaging.topics import touched_partition
from services.storage import evidence
from services.storage.installation import Installation
from services.workers.flushing import STORAGE_ERRORS
from services.workers.lease import Lessor
from services.workers.metrics import WorkerMetrics
from services.workers.renewal import Renewal
from services.workers.settings import WorkerSettings
from services.workers.watch import Watch

logger = logging.getLogger(__name__)

EVALUATIONS_AT_ONCE = 2


class Evaluator:
    """Evaluates the experiments of the ``touched.v1`` partitions this process owns."""

    def __init__(
        self,
        engine: AsyncEngine,
        topic: str,
        installation: Installation,
        settings: WorkerSettings,
        lessor: Lessor,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._engine = engine
        self._topic = topic
        self._installation = installation
        self._settings = settings
        self._lessor = lessor
        self._metrics = metrics or WorkerMetrics()
        self._owned: frozenset[int] = frozenset()
        self._watches: dict[UUID, Watch] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(EVALUATIONS_AT_ONCE)
        self._sweep_now = asyncio.Event()
        self._renewal = Renewal(
            engine,
            watches=self._watches.values,
            owns=self._owns,
            topic=topic,
            partitions=installation.outcome_partitions,
        )

    @property
    def owned(self) -> int:
        """How many partitions of ``touched.v1`` are this worker's."""
        return len(self._owned)

    @property
    def watches(self) -> list[Watch]:
        """The experiments that are evaluated here. Safe in another thread than the loop's."""
        return list(self._watches.values())

    def take_over(self, partitions: Iterable[int]) -> None:
        """Evaluate the experiments of these partitions of ``touched.v1`` from now on, and no others."""
        self._owned = frozenset(partitions)
        for experiment_id in [one for one in self._watches if not self._owns(one)]:
            self._let_go(experiment_id)
        self._sweep_now.set()

    def touch(self, touched: Touched) -> bool:
        """Evaluate the experiment soon, as new counts are there; False where another worker does."""
        if not self._owns(touched.experiment_id):
            return False
        self._wake(touched.experiment_id)
        return True

    async def run(self) -> Never:
        """Look at every running experiment again and again, for deadlines and silence; write results."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renewal.run())
            await self._keep_sweeping()

    async def _keep_sweeping(self) -> Never:
        while True:
            try:
                await self._sweep()
            except STORAGE_ERRORS as error:
                logger.warning("cannot look at the running experiments: %s", error)
            try:
                async with asyncio.timeout(self._settings.sweep_seconds):
                    await self._sweep_now.wait()
            except TimeoutError:
                pass
            self._sweep_now.clear()

    async def _sweep(self) -> None:
        if not self._owned:
            return
        async with self._engine.connect() as connection:
            running = {one for one in await evidence.running(connection) if self._owns(one)}
        for experiment_id in self._watches.keys() - running:
            self._let_go(experiment_id)
        for experiment_id in running:
            self._wake(experiment_id)

    def _owns(self, experiment_id: UUID) -> bool:
        return touched_partition(experiment_id) in self._owned

    def _wake(self, experiment_id: UUID) -> None:
        watch = self._watches.get(experiment_id)
        if watch is None:
            watch = self._watches[experiment_id] = Watch(
                experiment_id,
                self._engine,
                self._lessor,
                topic=self._topic,
                partitions=self._installation.outcome_partitions,
                metrics=self._metrics,
            )
            self._tasks[experiment_id] = asyncio.create_task(self._keep_watch(watch))
        watch.awake.set()

    def _let_go(self, experiment_id: UUID) -> None:
        del self._watches[experiment_id]
        self._tasks.pop(experiment_id).cancel()
        self._lessor.lapse(experiment_id)

    async def _keep_watch(self, watch: Watch) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await watch.awake.wait()
            watch.awake.clear()
            started = loop.time()
            await self._evaluate(watch)
            await asyncio.sleep(self._settings.evaluation_floor_seconds - (loop.time() - started))

    async def _evaluate(self, watch: Watch) -> None:
        try:
            async with self._slots:
                await watch.evaluate()
        except STORAGE_ERRORS as error:
            self._metrics.evaluation_failed("storage")
            logger.warning("experiment %s is not evaluated now: %s", watch.experiment_id, error)
        except Exception:
            # One experiment that cannot be evaluated must not end the counting of all: it is loud here, its
            # lease runs out, and gateways take its treatment off the traffic.
            self._metrics.evaluation_failed("error")
            logger.exception("experiment %s cannot be evaluated", watch.experiment_id)
