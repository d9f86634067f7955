"""How many outcomes one core counts a second: decoding, counting, bucket sums, every flush into Postgres.

    make counting-bench [ARGS="--json --experiments 1,1000 --outcomes N --memory-only"]

Records of a hundred outcomes are handed to the same objects that a worker consists of, as fast as they take
them, and flushes go on as in a worker, into a real Postgres on this machine. What is divided by the outcomes
is the CPU time of this process: all that a worker's core does but Faust's reading, about 60 µs a record.
Decoding and counting are measured alone too, without Postgres.

Each outcome belongs to one A/B test with the built-in columns; each unit sends ten. With 1,000 experiments
each unit takes part in one of them, so a record has outcomes of nearly a hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.assignment import outcome_partition
from services.domain.events import AssignedTo, DeadLetter, Outcome, Role, UnitSource
from services.domain.experiment import Experiment
from services.domain.metric import BUILT_IN
from services.domain.status import OutcomeStatus
from services.embedded.databases import create_database
from services.embedded.postgres import EmbeddedPostgres
from services.messaging.codec import decode_record, encode_batch, encode_outcome
from services.messaging.settings import KafkaSettings
from services.storage import bucket_progress, claims, experiments
from services.storage.identifiers import new_id
from services.storage.migrate import upgrade
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.workers.buckets import Buckets
from services.workers.claiming import Claimer, load
from services.workers.counting import Counter
from services.workers.counts import Delta, Record
from services.workers.endings import Endings
from services.workers.garbage import search_rarely
from services.workers.partitions import Partition
from services.workers.settings import WorkerSettings

TOPIC = "outcomes.v1"
BATCH = 100
PARTITIONS = 8
GOAL_PER_SECOND = 300_000
GOAL_RATIO = 1.3


@dataclass(frozen=True)
class Workload:
    """Records of outcomes of some experiments."""

    experiments: list[UUID]
    records: list[Record]

    @property
    def outcomes(self) -> int:
        """How many outcomes."""
        return len(self.records) * BATCH


def main() -> None:
    """Measure; print a table, or one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    arguments.add_argument("--experiments", default="1,1000", help="how many run at a time")
    arguments.add_argument("--outcomes", type=int, default=3_000_000, help="of each measurement")
    arguments.add_argument("--memory-only", action="store_true", help="only the parts, without Postgres")
    chosen = arguments.parse_args()
    search_rarely()
    numbers = [int(number) for number in chosen.experiments.split(",")]
    results = [parts(number, min(chosen.outcomes, 300_000)) for number in numbers]
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
    costs = [result.get("total_us", result["decode_us"]) for result in results]
    return {
        "outcomes_per_second": 1e6 / costs[0],
        "goal_per_second": GOAL_PER_SECOND,
        "ratio": costs[-1] / costs[0],
        "goal_ratio": GOAL_RATIO,
    }


def parts(number: int, outcomes: int) -> dict[str, float]:
    """Return what decoding takes, and decoding and counting together, in µs an outcome."""
    load_of = build(number, outcomes)

    def decode() -> None:
        for record in load_of.records:
            decode_record(record.value)

    def count() -> None:
        partitions = {one: Partition(TOPIC, one, 1, 0) for one in range(PARTITIONS)}
        delta = Delta()
        for at, record in enumerate(load_of.records):
            partitions[record.partition].count(record, delta)
            if at % 100 == 99:
                delta.seal_units()
                delta.experiment_rows()
                delta.route_rows()
                delta = Delta()

    return {
        "experiments": number,
        "bytes_per_outcome": sum(len(one.value or b"") for one in load_of.records) / load_of.outcomes,
        "decode_us": best(decode) / load_of.outcomes * 1e6,
        "count_us": best(count) / load_of.outcomes * 1e6,
    }


def best(work: Any) -> float:
    """Return the CPU seconds of the best of three runs."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


async def with_postgres(url: str, number: int, outcomes: int) -> dict[str, float]:
    """Return the cost of an outcome from a record's bytes to rows in Postgres."""
    load_of = build(number, outcomes)
    engine = create_engine(DatabaseSettings(database_url=url), application_name="benchmark")
    await define(engine, load_of.experiments)
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
    duties = [asyncio.create_task(counter.run()), asyncio.create_task(buckets.run())]
    search_rarely()
    started, started_wall = time.process_time(), time.perf_counter()
    for record in load_of.records:
        await counter.count(record)
        # Reading from Kafka gives way to others, so this does too.
        await asyncio.sleep(0)
    await counter.release()
    spent, wall = time.process_time() - started, time.perf_counter() - started_wall
    for duty in duties:
        duty.cancel()
    await engine.dispose()
    return {
        "total_us": spent / load_of.outcomes * 1e6,
        "outcomes_per_second": load_of.outcomes / spent,
        "wall_outcomes_per_second": load_of.outcomes / wall,
    }


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


def build(number: int, outcomes: int) -> Workload:
    """Return records in the partitions of their units."""
    source, gateway = random.Random(1), uuid4()
    ids = [new_id() for _ in range(number)]
    pending: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    records: list[Record] = []
    for outcome in drawn(source, ids, outcomes):
        partition = outcome_partition(outcome.unit_hash, PARTITIONS)
        batch = pending[partition]
        batch.append(encode_outcome(outcome))
        if len(batch) == BATCH:
            offset = offsets[partition]
            offsets[partition] = offset + 1
            value = encode_batch(gateway, offset * BATCH, batch)
            # A minute of the log's time lasts two seconds of a worker at its limit, to have some minutes.
            at = 1_700_000_000_000 + len(records) * BATCH // 10
            records.append(Record(partition, offset, at, value))
            pending[partition] = []
    return Workload(ids, records)


def drawn(source: random.Random, ids: list[UUID], outcomes: int) -> Iterator[Outcome]:
    """Yield outcomes of random units."""
    for _ in range(outcomes):
        unit = source.randrange(outcomes // 10)
        experiment_id = ids[unit % len(ids)]
        role = Role.TREATMENT if unit // len(ids) % 2 else Role.CONTROL
        failed = source.random() < 0.01
        yield Outcome(
            request_id=f"{source.getrandbits(64):016x}",
            route_key="chat",
            variant_key="gpt-small",
            unit_hash=unit * 0x9E3779B97F4A7C15 % 2**64,
            unit_source=UnitSource.USER,
            status=OutcomeStatus.TIMEOUT if failed else OutcomeStatus.OK,
            http_status=200,
            started_at_us=1_700_000_000_000_000,
            latency_us=int(source.lognormvariate(13.0, 0.8)),
            prompt_tokens=120,
            completion_tokens=80,
            assignments=(AssignedTo(experiment_id, 1, role, 5_000, int(role)),),
            cost_nanos=source.randrange(1_000_000),
        )


if __name__ == "__main__":
    main()
