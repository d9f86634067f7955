"""Comparisons from Kafka to Postgres, by a worker that may be read to twice, killed, or sent rubbish."""

import time
import uuid
from typing import Any

import msgspec
import sqlalchemy as sa

from services.domain.events import Comparison, Likeness, ShadowCoverage, Side
from services.domain.status import OutcomeStatus
from services.messaging.codec import decode_dead_letter
from services.messaging.comparison_codec import encode_comparison, encode_comparisons
from services.messaging.consumer import read_topic
from services.messaging.publisher import idempotent_producer
from services.messaging.topics import TopicNames, comparisons_partition
from services.storage import comparisons
from services.storage.comparisons import Coverage
from services.storage.tables import comparison_texts
from services.storage.tables import comparisons as comparisons_table
from tests.integration.workers.world import World, until

EXPERIMENT = uuid.uuid4()
GATEWAY = uuid.uuid4()


def comparison(**changes: Any) -> Comparison:
    side = Side("v", OutcomeStatus.OK, 200, 1_000)
    values: dict[str, Any] = {
        "comparison_id": uuid.uuid4(),
        "experiment_id": EXPERIMENT,
        "phase": 1,
        "route_key": "chat",
        "unit_hash": (1 << 64) - 1,
        "occurred_at_us": int(time.time() * 1e6),
        "streamed": False,
        "production": side,
        "shadow": side,
        "likeness": Likeness(True, True, 1.0),
    }
    return Comparison(**(values | changes))


def coverage(sampled: int) -> bytes:
    return encode_comparison(ShadowCoverage(EXPERIMENT, 1, sampled, sampled - 1, 0, {"queue_full": 1}, 5))


async def send(world: World, *payloads: bytes | None) -> None:
    topic = TopicNames(world.kafka.topic_prefix).comparisons
    producer = idempotent_producer(world.kafka, client_id="test-comparisons")
    await producer.start()
    try:
        for payload in payloads:
            partition = comparisons_partition(EXPERIMENT)
            await producer.send_and_wait(topic, payload, key=b"shadow", partition=partition)
    finally:
        await producer.stop()


def record(*found: Comparison, sampled: int = 0) -> bytes:
    counts = [coverage(sampled)] if sampled else []
    return encode_comparisons(GATEWAY, [encode_comparison(one) for one in found], counts)


async def stored(world: World) -> int:
    async with world.engine.connect() as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(comparisons_table)) or 0)


async def covered(world: World) -> Coverage:
    async with world.engine.connect() as connection:
        return await comparisons.covered(connection, EXPERIMENT, 1)


async def test_what_is_sent_twice_is_there_once(world: World) -> None:
    """A gateway resends, and a worker that was killed after its transaction reads again."""
    sent = [comparison() for _ in range(50)]
    records = [record(*sent[:20], sampled=20), record(*sent[20:], sampled=51)]
    world.start_worker()
    await send(world, *records, *records)
    await until(lambda: stored(world), lambda n: n == 50, "50 comparisons")

    world.workers[0].kill()
    world.start_worker()
    extra = comparison()
    await send(world, *records, record(extra, sampled=52))
    await until(lambda: covered(world), lambda found: found.sampled == 52, "the newest coverage")
    assert await stored(world) == 51
    found = await covered(world)
    assert (found.compared, found.failed, found.shed, found.cost_nanos) == (51, 0, {"queue_full": 1}, 5)


async def test_rubbish_goes_aside(world: World) -> None:
    good = comparison()
    bad_likeness = msgspec.msgpack.encode("no comparison")
    worker = world.start_worker()
    await send(
        world,
        b"\xc1",
        None,
        msgspec.msgpack.encode([99, GATEWAY.bytes, [], []]),
        encode_comparisons(GATEWAY, [bad_likeness, encode_comparison(good)], []),
        record(comparison(route_key="a\x00b"), comparison()),
        record(comparison(), sampled=5),
    )
    await until(lambda: stored(world), lambda n: n == 3, "what can be stored")
    await until(lambda: covered(world), lambda found: found.sampled == 5, "the coverage behind it")
    letters = await read_topic(world.kafka, TopicNames(world.kafka.topic_prefix).dead_letters)
    reasons = [decode_dead_letter(letter.value).reason for letter in letters]
    for said in ("not a batch", "no value", "schema 99", "not a comparison", "Postgres refused"):
        assert [said in reason for reason in reasons].count(True) == 1, (said, reasons)
    assert len(reasons) == 5
    worker.raise_if_dead()


async def test_expired_texts_are_deleted(world: World) -> None:
    now = int(time.time() * 1e6)
    old = comparison(texts=("a", "b"), text_days=1, occurred_at_us=now - 2 * 86_400_000_000)
    fresh = comparison(texts=("c", "d"), text_days=1)
    async with world.engine.begin() as connection:
        await comparisons.add(connection, [old, fresh])

    async def texts() -> list[str]:
        async with world.engine.connect() as connection:
            return list(await connection.scalars(sa.select(comparison_texts.c.production)))

    world.start_worker()
    assert await until(texts, lambda found: found == ["c"], "the old text to go") == ["c"]
    assert await stored(world) == 2
