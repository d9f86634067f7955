"""An installation with workers as processes, and what one asks its database."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded.processes import ManagedProcess
from services.messaging.settings import KafkaSettings
from services.storage.counting_totals import CountingTotals, read_totals
from services.storage.settings import DatabaseSettings
from tests.integration.workers.gateway import Gateway

T = TypeVar("T")

COUNTED = ("requests", "errors", "first_errors", "first_requests", "first_request_errors")
PATIENCE_SECONDS = 60.0


async def until(look: Callable[[], Awaitable[T]], is_it: Callable[[T], bool], what: str) -> T:
    """Look again and again until it is so; fail with what was seen last."""
    seen: Any = None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    seen = await look()
                    if is_it(seen):
                        return seen  # type: ignore[no-any-return]
                except SQLAlchemyError as error:
                    seen = error
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited for {what}; last seen: {seen}") from None


@dataclass
class World:
    """One installation. Workers are started by the test and ended by the fixture."""

    kafka: KafkaSettings
    database: DatabaseSettings
    engine: AsyncEngine
    partitions: int
    directory: Path
    workers: list[ManagedProcess] = field(default_factory=list)
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)

    def gateway(self, **changes: Any) -> Gateway:
        """Return a gateway of this installation, not connected."""
        return Gateway(self.kafka, self.partitions, **changes)

    def start_worker(self, **settings: str) -> ManagedProcess:
        """Start a worker process."""
        name = f"worker-{len(self.workers)}"
        environment = {
            **os.environ,
            "HEADGATE_KAFKA": self.kafka.kafka,
            "HEADGATE_TOPIC_PREFIX": self.kafka.topic_prefix,
            "HEADGATE_DATABASE_URL": self.database.database_url,
            "HEADGATE_WORKER_NAME": name,
            **{f"HEADGATE_WORKER_{key.upper()}": value for key, value in settings.items()},
        }
        worker = ManagedProcess(
            name,
            [sys.executable, "-m", "services.cli.main", "worker"],
            log_path=self.directory / f"{name}.log",
            env=environment,
        )
        worker.start()
        self.workers.append(worker)
        return worker

    def keep_running(self, worker: ManagedProcess) -> None:
        """Start the worker again whenever it has ended, as a supervisor does."""

        async def keep() -> None:
            while True:
                if not worker.running:
                    worker.start()
                await asyncio.sleep(0.2)

        self._keepers.append(asyncio.create_task(keep()))

    async def stop(self) -> None:
        """End everything."""
        for keeper in self._keepers:
            keeper.cancel()
        for worker in self.workers:
            await asyncio.to_thread(worker.kill)

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """Run a query."""
        async with self.engine.connect() as connection:
            return list((await connection.execute(sa.text(query), values)).all())

    async def totals(self) -> CountingTotals:
        """What became of all outcomes."""
        async with self.engine.connect() as connection:
            return await read_totals(connection)

    async def counts(self, experiment_id: UUID) -> Counter[str]:
        """The experiment's counts, by role and kind."""
        sums = ", ".join(f"sum({column})" for column in COUNTED)
        rows = await self.rows(
            f"SELECT role, {sums} FROM experiment_counts"  # noqa: S608 - our own columns
            " WHERE experiment_id = :id GROUP BY role",
            id=experiment_id,
        )
        return Counter(
            {
                f"{role} {column}": int(number)
                for role, *numbers in rows
                for column, number in zip(COUNTED, numbers, strict=True)
            }
        )

    async def owners(self) -> set[str]:
        """Who claimed the partitions."""
        return {row[0] for row in await self.rows("SELECT DISTINCT claimed_by FROM partition_progress")}

    async def counting(self) -> None:
        """Return once every partition is claimed and counted to its end."""
        await until(
            lambda: self.rows("SELECT partition FROM partition_progress WHERE caught_up_at IS NOT NULL"),
            lambda rows: len(rows) == self.partitions,
            "every partition to be counted",
        )

    async def counted(self, outcomes: int) -> CountingTotals:
        """Return once at least so many outcomes are counted."""
        return await until(
            self.totals, lambda totals: totals.outcomes_counted >= outcomes, f"{outcomes} outcomes"
        )

    async def assert_exact(self, gateway: Gateway) -> None:
        """Everything sent is counted, once, and so are the units."""
        totals = await self.counted(gateway.sent)
        assert totals.outcomes_counted == gateway.sent
        assert totals.missing == 0
        assert await self.counts(gateway.experiment_id) == +gateway.expected
        exposures = await self.rows(
            "SELECT count(*), count(DISTINCT unit_hash) FROM exposures WHERE experiment_id = :id",
            id=gateway.experiment_id,
        )
        units = sum(gateway.expected[f"{role} first_requests"] for role in ("control", "treatment"))
        assert exposures == [(units, units)]
