"""What a worker consists of, without Kafka, in a process of its own that runs only when it is its turn.

While it is not, everything in the process stands still, the clock of its event loop included: a rest of
thirty seconds between two flushes is thirty seconds of its own time. Only Postgres goes on with a statement
that it has been given.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import NamedTuple
from uuid import UUID

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.counting_load import PARTITIONS, Load
from services.cli.process_memory import COUNTING, set_up_memory
from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.events import DeadLetter
from services.domain.experiment import Experiment
from services.domain.metric import BUILT_IN
from services.messaging.settings import KafkaSettings
from services.storage import bucket_progress, claims, experiments
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.workers.buckets import Buckets
from services.workers.claiming import Claimer, load
from services.workers.counting import Counter
from services.workers.counts import Record
from services.workers.endings import Endings
from services.workers.partitions import Partition
from services.workers.settings import WorkerSettings

TOPIC = "outcomes.v1"


class Turn(NamedTuple):
    """Count so many outcomes, or only up to the end of a flush of the bucket sums."""

    outcomes: int | None
    to_flush: bool = False
    hurry: bool = False
    """Begin that flush at once."""


class Totals(NamedTuple):
    """What a process has done so far; the seconds are without those of making records and of waiting."""

    outcomes: int
    flushes: int
    cpu: float
    wall: float

    def since(self, before: Totals) -> Totals:
        """Return what was done since then."""
        return Totals(
            self.outcomes - before.outcomes,
            self.flushes - before.flushes,
            self.cpu - before.cpu,
            self.wall - before.wall,
        )


class OwnTime(uvloop.Loop):
    """An event loop whose clock stands still while it waits for its turn, and while records are made."""

    left_out = 0.0

    def time(self) -> float:
        """Return the seconds in which a worker was at work."""
        return super().time() - self.left_out

    def wait(self, turns: Connection) -> Turn | None:
        """Stand still until the next turn; None is the end."""
        started = time.monotonic()
        turn: Turn | None = turns.recv()
        self.left_out += time.monotonic() - started
        return turn

    def next_of(self, source: Load) -> Record:
        """Return the next record, as if it had been there."""
        before = source.seconds
        record = source.next()
        self.left_out += source.seconds - before
        return record


def take_turns(turns: Connection, url: str, number: int) -> None:
    """Count outcomes of so many experiments, whenever it is this process' turn."""
    loop = OwnTime()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_take_turns(loop, turns, url, number))


async def _take_turns(loop: OwnTime, turns: Connection, url: str, number: int) -> None:
    source = Load(number)
    engine = create_engine(
        DatabaseSettings(database_url=url),
        application_name="benchmark",
        # While it is not this process' turn, its transactions stand still too.
        idle_in_transaction_seconds=0.0,
    )
    await define(engine, source.experiments)
    counter, buckets = await worker(engine)
    set_up_memory(COUNTING)
    duties = [asyncio.create_task(counter.run()), asyncio.create_task(buckets.run())]
    begun = loop.time()
    while turn := loop.wait(turns):
        await feed(loop, source, counter, buckets, turn)
        turns.send(
            Totals(
                source.made,
                buckets.flushes,
                time.process_time() - source.seconds,
                loop.time() - begun,
            )
        )
    await counter.release()
    for duty in duties:
        duty.cancel()
    await engine.dispose()


async def feed(loop: OwnTime, source: Load, counter: Counter, buckets: Buckets, turn: Turn) -> None:
    """Hand over records until the turn is over."""
    if turn.hurry:
        buckets.hurry()
    end = None if turn.outcomes is None else source.made + turn.outcomes
    flushes = buckets.flushes
    while not (turn.to_flush and buckets.flushes > flushes) and (end is None or source.made < end):
        await counter.count(loop.next_of(source))
        # Reading from Kafka gives way to others, so this does too.
        await asyncio.sleep(0)


async def worker(engine: AsyncEngine) -> tuple[Counter, Buckets]:
    """Return the objects of a worker that has claimed every partition."""
    settings, endings = WorkerSettings(), Endings()

    def nobody(_: object) -> None:
        """Nobody evaluates here."""

    async def bury(letter: DeadLetter) -> None:
        raise AssertionError(letter.reason)

    buckets = Buckets(engine, TOPIC, PARTITIONS, settings, endings=endings, notify=nobody)
    # Nothing is refused here, so nothing is claimed again.
    claimer = Claimer(engine, KafkaSettings(), TOPIC, "benchmark", endings)
    counter = Counter(
        engine,
        claimer,
        buckets,
        TOPIC,
        settings,
        caught_up=lambda partition, offset: None,  # noqa: ARG005 - there is no log
        notify=nobody,
        bury=bury,
    )
    counter.take_over(await claim(engine, endings))
    return counter, buckets


async def claim(engine: AsyncEngine, endings: Endings) -> list[Partition]:
    """Claim every partition."""
    async with engine.begin() as connection:
        progress = await claims.claim(connection, TOPIC, range(PARTITIONS), claimed_by="benchmark")
        await bucket_progress.claim(connection, TOPIC, progress)
        return await load(connection, TOPIC, progress, endings)


async def define(engine: AsyncEngine, experiment_ids: list[UUID]) -> None:
    """Create the experiments, as the api would."""
    definition = ABTestDefinition(
        variants=(WeightedVariant("control", 0.5), WeightedVariant("treatment", 0.5)),
        goals=("latency_mean",),
        metrics=(BUILT_IN["latency_mean"], BUILT_IN["error_rate"]),
    )
    async with engine.begin() as connection:
        for experiment_id in experiment_ids:
            key = str(experiment_id)
            await experiments.create(
                connection,
                Experiment(
                    experiment_id=experiment_id,
                    key=key,
                    route_key=key,
                    kind="ab_test",
                    status="running",
                    conclusion=None,
                    definition=definition,
                    control="control",
                    phase=1,
                    created_at=datetime.now(UTC),
                ),
            )
