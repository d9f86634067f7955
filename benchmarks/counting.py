"""How many outcomes one core counts a second: decoding, counting, bucket sums, every flush into Postgres.

    make counting-bench [ARGS="--json --experiments 1,1000 --rounds N --outcomes N --memory-only"]

Records of a hundred outcomes are handed to the same objects that a worker consists of, as fast as they take
them, and flushes go on as in a worker, into a real Postgres on this machine. What is divided by the outcomes
is the CPU time of that process: all that a worker's core does but Faust's reading, about 60 µs a record, and
making the records, which is timed and taken off. Decoding and counting are measured alone too.

Each number of experiments has a process and a database of its own, and only one process runs at a time, in
turns of a second or two. Measured is the steady state: the log is counted until everything has a row, and a
round goes from the end of one flush of the bucket sums to the end of a later one, so the flushes belong to
the outcomes. What counts are the medians of the rounds' costs, and of the ratios within each round.

Each outcome belongs to one A/B test with the built-in columns; each unit sends ten. With 1,000 experiments
each unit takes part in one of them, so a record has outcomes of nearly a hundred.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.counting_load import BATCH, PARTITIONS, Load
from benchmarks.counting_turns import costs, figures, play, workers
from benchmarks.counting_worker import TOPIC
from services.cli.process_memory import COUNTING, set_up_memory
from services.embedded.databases import create_database
from services.embedded.postgres import EmbeddedPostgres
from services.messaging.codec import decode_record
from services.storage.migrate import upgrade
from services.workers.counts import Delta
from services.workers.partitions import Partition

PARTS_OUTCOMES = 300_000
GOAL_PER_SECOND = 300_000
GOAL_RATIO = 1.3


def main() -> None:
    """Measure; print a table, or one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    arguments.add_argument("--experiments", default="1,1000", help="how many run at a time")
    arguments.add_argument("--rounds", type=int, default=4, help="of how many medians are taken")
    arguments.add_argument(
        "--outcomes", type=int, default=2_000_000, help="of a round with the most experiments, at least"
    )
    arguments.add_argument("--memory-only", action="store_true", help="only the parts, without Postgres")
    chosen = arguments.parse_args()
    if chosen.rounds < 1:
        arguments.error("at least one round is needed")
    numbers = [int(number) for number in chosen.experiments.split(",")]
    results = [parts(number) for number in numbers]
    each = [[result["count_us"]] for result in results]
    if not chosen.memory_only:
        each = with_postgres(numbers, results, chosen.rounds, chosen.outcomes)
    for result in results:
        print("  ".join(f"{name} {value:,.6g}" for name, value in result.items()), file=sys.stderr)
    print(table(numbers, each), file=sys.stderr)
    if chosen.json:
        print(json.dumps({"counting": results, **summary(each)}))


def with_postgres(
    numbers: list[int], results: list[dict[str, float]], rounds: int, outcomes: int
) -> list[list[float]]:
    """Add to the results what an outcome costs from a record's bytes to rows; return that for each round."""
    with EmbeddedPostgres() as postgres:
        urls = [create_database(postgres.url, f"counting_{place}") for place in range(len(numbers))]
        for url in urls:
            upgrade(url)
        with workers(urls, numbers) as players:
            windows = play(players, numbers.index(max(numbers)), rounds, outcomes)
    for result, of_player in zip(results, zip(*windows, strict=True), strict=True):
        result.update(figures(of_player))
    return costs(windows)


def table(numbers: Sequence[int], each: Sequence[Sequence[float]]) -> str:
    """Return the cost of an outcome in µs for each round, and the ratio of the last to the first."""
    header = "".join(f"{number:>12,}" for number in numbers)
    rows = [("round", f"{header}{'ratio':>12}")]
    for number, of_round in enumerate(zip(*each, strict=True), start=1):
        rows.append((str(number), "".join(f"{one:12.3f}" for one in (*of_round, of_round[-1] / of_round[0]))))
    medians = (*map(median, each), median(ratios(each)))
    rows.append(("median", "".join(f"{one:12.3f}" for one in medians)))
    return "\n".join(f"{name:8}{row}" for name, row in rows)


def ratios(each: Sequence[Sequence[float]]) -> list[float]:
    """Return for each round how many times the first's cost the last's is."""
    return [last / first for first, last in zip(each[0], each[-1], strict=True)]


def summary(each: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return what the goals are about; ``each`` has the cost of an outcome in each round."""
    of_rounds = ratios(each)
    return {
        "outcomes_per_second": 1e6 / median(each[0]),
        "goal_per_second": GOAL_PER_SECOND,
        "ratio": median(of_rounds),
        "ratio_min": min(of_rounds),
        "ratio_max": max(of_rounds),
        "ratios": of_rounds,
        "goal_ratio": GOAL_RATIO,
        "us_of_rounds": list(map(list, each)),
    }


def parts(number: int) -> dict[str, float]:
    """Return what decoding takes, and decoding and counting together, in µs an outcome."""
    source = Load(number)
    records = [source.next() for _ in range(PARTS_OUTCOMES // BATCH)]
    set_up_memory(COUNTING)

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


if __name__ == "__main__":
    main()
