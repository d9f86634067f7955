"""How many outcomes one core decodes and counts a second, without Kafka and Postgres.

    python -m benchmarks.counting [--json] [--outcomes N]

Each outcome belongs to one experiment; a tenth of the units is new. "decode" is what msgspec alone takes.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from uuid import UUID, uuid4

from services.domain.events import AssignedTo, Outcome, Role, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import decode_batch, encode_batch, encode_outcome
from services.workers.counts import Delta, Record
from services.workers.partitions import Partition

BATCH_SIZES = (1, 10, 100)
SHARE_BP = 1_000


def main() -> None:
    """Measure each batch size; print a table, or one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments.add_argument("--outcomes", type=int, default=200_000)
    chosen = arguments.parse_args()
    results = [measure(batch, chosen.outcomes) for batch in BATCH_SIZES]
    if chosen.json:
        print(json.dumps({"counting": results}))
        return
    print(f"{'batch':>6} {'bytes each':>11} {'decode µs':>10} {'total µs':>9} {'outcomes/s':>11}")
    for one in results:
        print(
            f"{one['batch']:>6.0f} {one['bytes_per_outcome']:>11.0f} {one['decode_us']:>10.2f} "
            f"{one['total_us']:>9.2f} {one['outcomes_per_second']:>11,.0f}"
        )


def measure(batch: int, outcomes: int) -> dict[str, float]:
    """Return the cost of an outcome in batches of one size."""
    records = build(batch, outcomes)
    counted = len(records) * batch
    decode = timed(lambda: decode_all(records))
    total = timed(lambda: count(records))
    return {
        "batch": batch,
        "bytes_per_outcome": sum(len(record.value or b"") for record in records) / counted,
        "decode_us": decode / counted * 1e6,
        "total_us": total / counted * 1e6,
        "outcomes_per_second": counted / total,
    }


def decode_all(records: list[Record]) -> None:
    """Decode everything and keep nothing."""
    for record in records:
        decode_batch(record.value)


def count(records: list[Record]) -> None:
    """Count everything, with a flush's worth of sealing every hundred records."""
    partition, delta = Partition("outcomes.v1", 0, epoch=1, next_offset=0), Delta()
    for number, record in enumerate(records):
        partition.count(record, delta)
        if number % 100 == 99:
            delta.seal_units()
            delta.experiment_rows()
            delta = Delta()


def build(batch: int, outcomes: int) -> list[Record]:
    """Return the records of a partition."""
    source, gateway, experiment_id = random.Random(1), uuid4(), uuid4()
    records = []
    for offset in range(outcomes // batch):
        encoded = [encode_outcome(an_outcome(source, experiment_id, outcomes)) for _ in range(batch)]
        value = encode_batch(gateway, offset * batch, encoded)
        records.append(Record(0, offset, 1_700_000_000_000 + offset, value))
    return records


def an_outcome(source: random.Random, experiment_id: UUID, outcomes: int) -> Outcome:
    """Return one outcome of a random unit."""
    unit = source.randrange(outcomes // 10)
    role = Role.TREATMENT if unit % 10_000 < SHARE_BP else Role.CONTROL
    failed = source.random() < 0.01
    return Outcome(
        request_id=f"{source.getrandbits(64):016x}",
        route_key="chat",
        variant_key="gpt-small",
        unit_hash=unit * 0x9E3779B97F4A7C15 % 2**64,
        unit_source=UnitSource.USER,
        status=OutcomeStatus.TIMEOUT if failed else OutcomeStatus.OK,
        http_status=200,
        started_at_us=1_700_000_000_000_000,
        latency_us=source.randrange(1_000_000),
        prompt_tokens=120,
        completion_tokens=80,
        assignments=(AssignedTo(experiment_id, 1, role, SHARE_BP if role else 10_000 - SHARE_BP),),
    )


def timed(work: Callable[[], None]) -> float:
    """Return the seconds of the best of three runs."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main()
