"""How many outcomes one core counts a second: decoding, counting, bucket sums, every flush into Postgres.

    make counting-bench [ARGS="--json --experiments 1,1000 --outcomes N --memory-only"]

Records of a hundred outcomes are handed to the same objects that a worker consists of, as fast as they take
them, and flushes go on as in a worker, into a real Postgres on this machine. What is divided by the outcomes
is the CPU time of this process: all that a worker's core does but Faust's reading, about 60 µs a record, and
making the records, which is timed and taken off. Decoding and counting are measured alone too.

Measured is the steady state: the log is counted until everything has a row, and from the end of one flush of
the bucket sums to the end of a later one, so the flushes belong to the outcomes.

Each outcome belongs to one A/B test with the built-in columns; each unit sends ten. With 1,000 experiments
each unit takes part in one of them, so a record has outcomes of nearly a hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.counting_load import BATCH, PARTITIONS, Load
from services.cli.process_memory import COUNTING, search_rarely
from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.events import DeadLetter
from services.domain.experiment import Experiment
from services.domain.metric import BUILT_IN
from services.embedded.databases import create_database
from services.embedded.postgres import EmbeddedPostgres
from services.messaging.codec import decode_record
from services.messaging.settings import KafkaSettings
from services.storage import bucket_progress, claims, experiments
from services.storage.migrate import upgrade
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.workers.buckets import Buckets
from services.workers.claiming import Claimer, load
from services.workers.counting import Counter
from services.workers.counts import Delta
from services.workers.endings import Endings
from services.workers.partitions import Partition
from services.workers.settings import WorkerSettings

TOPIC = "outcomes.v1"
PARTS_OUTCOMES = 300_000
WARM_UP_OUTCOMES = 500_000
"""By then each of 16,000 variants of partitions has thirty: their rows exist."""
GOAL_PER_SECOND = 300_000
GOAL_RATIO = 1.3


def main() -> None:
    """Measure; print a table, or one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    arguments.add_argument("--experiments", default="1,1000", help="how many run at a time")
    arguments.add_argument("--outcomes", type=int, default=5_000_000, help="of each measurement, at least")
    arguments.add_argument("--memory-only", action="store_true", help="only the parts, without Postgres")
    chosen = arguments.parse_args()
    numbers = [int(number) for number in chosen.experiments.split(",")]
    results = [parts(number) for number in numbers]
    if not chosen.memory_only:
        with EmbeddedPostgres() as postgres:
            for number, result in zip(numbers, results, strict=True):
                url = create_database(postgres.url, f"counting_{number}")
                upgrade(url)
                result.update(uvloop.run(with_postgres(url, number, chosen.outcomes)))
    for result in results:
        print(
            "  ".join(f"{name} {value:,.6g}" for name, value in result.items()),
            file=sys.stderr,
        )
    if chosen.json:
        print(json.dumps({"counting": results, **summary(results)}))


def summary(results: list[dict[str, float]]) -> dict[str, Any]:
    """Return what the goals are about."""
    costs = [result.get("total_us", result["count_us"]) for result in results]
    return {
        "outcomes_per_second": 1e6 / costs[0],
        "goal_per_second": GOAL_PER_SECOND,
        "ratio": costs[-1] / costs[0],
        "goal_ratio": GOAL_RATIO,
    }


def parts(number: int) -> dict[str, float]:
    """Return what decoding takes, and decoding and counting together, in µs an outcome."""
    source = Load(number)
    records = [source.next() for _ in range(PARTS_OUTCOMES // BATCH)]
    search_rarely(COUNTING)

    def decode() -> None:
        for record in records:
            decode_record(record.value)

    def count() -> None:
        partitions = {one: Partition(TOPIC, one, 1, 0) for one in range(PARTITIONS)}
        delta = Delta()
        for record in records:
            partitions[record.partition].count(record, delta)
        delta.seal_units()
        delta.experiment_rows()
        delta.route_rows()
        delta.usage_rows()

    return {
        "experiments": number,
        "bytes_per_outcome": sum(len(one.value or b"") for one in records) / PARTS_OUTCOMES,
        "decode_us": best(decode) / PARTS_OUTCOMES * 1e6,
        "count_us": best(count) / PARTS_OUTCOMES * 1e6,
    }


def best(work: Callable[[], None]) -> float:
    """Return the CPU seconds of the best of three runs."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


async def with_postgres(url: str, number: int, outcomes: int) -> dict[str, float]:
    """Return the cost of an outcome from a record's bytes to rows in Postgres."""
    source = Load(number)
    engine = create_engine(DatabaseSettings(database_url=url), application_name="benchmark")
    await define(engine, source.experiments)
    settings = WorkerSettings()
    endings = Endings()

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
    search_rarely(COUNTING)
    duties = [asyncio.create_task(counter.run()), asyncio.create_task(buckets.run())]
    await feed(source, counter, lambda: source.made >= WARM_UP_OUTCOMES)
    buckets.hurry()
    flushes = buckets.flushes
    await feed(source, counter, lambda: buckets.flushes > flushes)
    begun, made, flushes = Clock.now(source), source.made, buckets.flushes
    enough = source.made + outcomes
    await feed(source, counter, lambda: source.made >= enough)
    last = buckets.flushes
    await feed(source, counter, lambda: buckets.flushes > last)
    spent, counted = Clock.now(source).since(begun), source.made - made
    flushes = buckets.flushes - flushes
    await counter.release()
    for duty in duties:
        duty.cancel()
    await engine.dispose()
    return {
        "total_us": spent.cpu / counted * 1e6,
        "outcomes_per_second": counted / spent.cpu,
        "wall_outcomes_per_second": counted / spent.wall,
        "outcomes": counted,
        "flushes_of_sums": flushes,
    }


async def feed(source: Load, counter: Counter, is_enough: Callable[[], bool]) -> None:
    """Hand over records until it is enough."""
    while not is_enough():
        await counter.count(source.next())
        # Reading from Kafka gives way to others, so this does too.
        await asyncio.sleep(0)


class Clock(NamedTuple):
    """Seconds without those of making records."""

    cpu: float
    wall: float

    @classmethod
    def now(cls, source: Load) -> Clock:
        """Return the present times."""
        return cls(time.process_time() - source.seconds, time.perf_counter() - source.seconds)

    def since(self, before: Clock) -> Clock:
        """Return the times that have passed."""
        return Clock(self.cpu - before.cpu, self.wall - before.wall)


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


if __name__ == "__main__":
    main()
