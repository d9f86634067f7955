"""What is read of the bucket sums is what was written, and what is old goes away."""

import asyncio
from uuid import UUID

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.ab_test import MAX_SEGMENT_VALUES
from services.storage import bucket_progress, claims, phase_totals, segments
from services.storage.bucket_writing import BucketAdvance, BucketFlush, LedgerSizes, SumsToWrite, write
from services.storage.buckets import BucketCache, Sketches, SumsKey, read_offsets, read_rows, refresh
from services.storage.counting import QualityCount
from services.storage.identifiers import new_id
from services.storage.pruning import prune

TOPIC = "outcomes.v1"
SKETCHES: Sketches = {"latency": {3: ([130_000, 130_001], [1, 2])}}
STORED_SKETCHES = msgspec.msgpack.encode(SKETCHES)


async def claim(engine: AsyncEngine, partitions: list[int]) -> dict[int, int]:
    async with engine.begin() as connection:
        progress = await claims.claim(connection, TOPIC, partitions, claimed_by="test")
        await bucket_progress.claim(connection, TOPIC, progress)
    return {one.partition: one.epoch for one in progress}


def rows_of(experiment_id: UUID, partition: int, number: int) -> SumsToWrite:
    sums = np.full((2, 2, 512), number, np.int64)
    return SumsToWrite(
        experiment_id, 1, 0, "", partition, 2, ("units", "error"), sums, lambda: STORED_SKETCHES
    )


async def test_sums_of_all_partitions_are_put_together(engine: AsyncEngine) -> None:
    experiment_id, cache = new_id(), BucketCache(phase=1)
    epochs = await claim(engine, [0, 1])

    async def flush(partition: int, start: int, number: int) -> None:
        advance = BucketAdvance(partition, epochs[partition], start, start + 1, 1, {new_id(): 5})
        known = LedgerSizes(partition, experiment_id, 1, {"request": number})
        async with engine.begin() as connection:
            await write(
                connection,
                BucketFlush(TOPIC, [advance], [known], [rows_of(experiment_id, partition, number)]),
            )

    async def look() -> list[int]:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            await refresh(connection, experiment_id, cache)
        return cache.variant(0).n("error")[:3].tolist()

    await flush(0, 0, 7)
    assert await look() == [7, 0, 7]
    await flush(1, 0, -(2**62))
    assert await look() == [7, -(2**62), 7]
    await flush(0, 1, 8)
    assert await look() == [8, -(2**62), 8]
    sketch = cache.sketch(0, "latency")
    assert (sketch.cells.tolist(), sketch.counts[3].tolist(), sketch.n) == ([130_000, 130_001], [2, 4], 6)
    async with engine.connect() as connection:
        assert await read_offsets(connection, TOPIC) == {0: 2, 1: 1}
        keys = [SumsKey(partition, experiment_id, 1, 0, "") for partition in (0, 2)]
        assert list(await read_rows(connection, keys)) == keys[:1]
        known = await bucket_progress.load_known(connection, TOPIC, [0, 1])
    assert known[0, experiment_id, 1] == {"request": 8}


async def test_what_is_in_no_sum_is_added_to_what_was_noticed(engine: AsyncEngine) -> None:
    epochs, experiment_id = await claim(engine, [0, 1]), new_id()
    for partition, epoch in epochs.items():
        advance = BucketAdvance(partition, epoch, 0, 1, 1, {})
        noticed = [QualityCount(experiment_id, 1, "unreadable_feedback", 2 + partition)]
        async with engine.begin() as connection:
            await write(connection, BucketFlush(TOPIC, [advance], quality=noticed))
    async with engine.connect() as connection:
        found = await phase_totals.noticed(connection, experiment_id, phase=1)
    assert found == {"unreadable_feedback": 5}


async def test_sums_of_an_older_claim_are_fenced(engine: AsyncEngine) -> None:
    """The naive way that fails: whole rows of a zombie overwrite those of its heir."""
    old = await claim(engine, [0])
    await claim(engine, [0])
    experiment_id = new_id()
    flush = BucketFlush(TOPIC, [BucketAdvance(0, old[0], 0, 1, 1, {})], sums=[rows_of(experiment_id, 0, 1)])
    with pytest.raises(claims.Fenced):
        async with engine.begin() as connection:
            await write(connection, flush)
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT count(*) FROM bucket_sums")) == 0


async def test_attributes_have_twenty_values(engine: AsyncEngine) -> None:
    """The naive way that fails: two workers that each find room for twenty."""
    experiment_id = new_id()

    async def register(prefix: str) -> set[str]:
        async with engine.begin() as connection:
            values = [f"{prefix}{number}" for number in range(15)]
            return await segments.register(connection, experiment_id, "region", values)

    first, second = await asyncio.gather(register("a"), register("b"))
    assert len(first | second) == MAX_SEGMENT_VALUES
    async with engine.connect() as connection:
        stored = await segments.load(connection, [experiment_id])
    assert {one.value for one in stored} == first | second
    assert await register("a") == first | second


async def test_only_what_nobody_needs_is_deleted(engine: AsyncEngine) -> None:
    """The naive ways that fail: forgetting units that late outcomes still ask for, or what was missing."""
    async with engine.begin() as connection:
        for key, hours in (("old", 100), ("late", 30), ("running", None)):
            ended = "NULL" if hours is None else f"now() - interval '{hours} hours'"
            experiment = {"id": new_id(), "key": key}
            await connection.execute(
                sa.text(
                    "INSERT INTO experiments (experiment_id, key, route_key, kind, status, definition,"  # noqa: S608
                    f" control, stopped_at) VALUES (:id, :key, 'r', 'canary', 'stopped', '{{}}', 'c',"
                    f" {ended})"
                ),
                experiment,
            )
            for table, columns, values in (
                ("unit_chunks", "event, chunk, units", f"'{key}', 0, ''"),
                ("bucket_ledgers", "known", f"""'{{"{key}": 1}}'"""),
            ):
                await connection.execute(
                    sa.text(
                        f"INSERT INTO {table} (topic, partition, experiment_id, phase, {columns})"  # noqa: S608
                        f" VALUES ('{TOPIC}', 0, :id, 1, {values})"
                    ),
                    {"id": experiment["id"]},
                )
        await connection.execute(
            sa.text(
                "INSERT INTO gateway_progress (topic, partition, gateway, next_sequence, missing, seen_at)"  # noqa: S608
                f" VALUES ('{TOPIC}', 0, gen_random_uuid(), 1, 0, now() - interval '31 days'),"
                f" ('{TOPIC}', 0, gen_random_uuid(), 2, 1, now() - interval '31 days'),"
                f" ('{TOPIC}', 0, gen_random_uuid(), 3, 0, now() - interval '29 days')"
            )
        )
        assert await prune(connection, TOPIC) == 3
        events = (await connection.execute(sa.text("SELECT event FROM unit_chunks ORDER BY 1"))).scalars()
        assert list(events) == ["late", "running"]
        known = (await connection.execute(sa.text("SELECT known FROM bucket_ledgers"))).scalars()
        assert sorted(next(iter(one)) for one in known) == ["late", "running"]
        left = await connection.execute(sa.text("SELECT next_sequence FROM gateway_progress ORDER BY 1"))
        assert list(left.scalars()) == [2, 3]
