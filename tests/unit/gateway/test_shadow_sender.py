"""Comparisons on their way to Kafka: gathered, bounded, never lost while the process lives."""

import asyncio
import uuid
from typing import Any, cast

from services.domain.events import Comparison, ShadowCoverage, Side
from services.domain.status import OutcomeStatus
from services.gateway.shadow_sender import BATCH_BYTES, ComparisonSender
from services.messaging.comparison_codec import DecodedComparisons, decode_comparisons
from services.messaging.publisher import Publisher
from services.messaging.topics import comparisons_partition

ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
GATEWAY = uuid.uuid4()


class Broker:
    """Takes records, as long as it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.records: list[tuple[int, DecodedComparisons]] = []

    async def deliver(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        assert topic == "comparisons.v1"
        await self.open.wait()
        decoded = decode_comparisons(value)
        assert (decoded.gateway, decoded.unreadable) == (GATEWAY, [])
        assert key == str(_experiment(decoded)).encode()
        self.records.append((partition, decoded))


def _experiment(decoded: DecodedComparisons) -> uuid.UUID:
    (found,) = {one.experiment_id for one in (*decoded.comparisons, *decoded.coverage)}
    return found


def comparison(experiment_id: uuid.UUID = ONE, text: str = "") -> Comparison:
    side = Side("v", OutcomeStatus.OK, 200, 1)
    texts = (text, text) if text else None
    return Comparison(uuid.uuid4(), experiment_id, 1, "chat", 5, 0, False, side, side, None, texts)


def coverage(sampled: int, experiment_id: uuid.UUID = ONE) -> ShadowCoverage:
    return ShadowCoverage(experiment_id, 1, sampled, sampled, 0, {}, 0)


def sender(broker: Broker, limit_bytes: int = 1 << 30) -> ComparisonSender:
    publisher = cast("Publisher", cast("Any", broker))
    return ComparisonSender(publisher, "comparisons.v1", GATEWAY, limit_bytes=limit_bytes)


async def flushed(sending: ComparisonSender) -> None:
    running = asyncio.create_task(sending.run())
    await sending.flush()
    running.cancel()


async def test_one_record_for_each_experiment() -> None:
    broker = Broker()
    sending = sender(broker)
    for experiment_id in (ONE, OTHER, ONE):
        sending.offer(comparison(experiment_id))
    sending.cover(coverage(1))
    sending.cover(coverage(2))
    await flushed(sending)
    assert [partition for partition, _ in broker.records] == [
        comparisons_partition(one) for one in (ONE, OTHER)
    ]
    first, second = (decoded for _, decoded in broker.records)
    assert (len(first.comparisons), len(second.comparisons)) == (2, 1)
    assert [one.sampled for one in first.coverage] == [2]
    assert sending.waiting_bytes == 0


async def test_large_comparisons_travel_apart_and_coverage_comes_last() -> None:
    broker = Broker()
    sending = sender(broker)
    sending.cover(coverage(9))
    for _ in range(9):
        sending.offer(comparison(text="x" * (BATCH_BYTES // 8)))
    await flushed(sending)
    sizes = [len(decoded.comparisons) for _, decoded in broker.records]
    assert sum(sizes) == 9
    assert max(sizes) <= 5
    assert [bool(decoded.coverage) for _, decoded in broker.records] == [False] * (len(sizes) - 1) + [True]


async def test_what_is_under_way_at_a_stop_is_sent_by_whoever_runs_it_next() -> None:
    broker = Broker()
    sending = sender(broker)
    broker.open.clear()
    sent = [comparison() for _ in range(3)]
    for one in sent:
        sending.offer(one)
    sending.cover(coverage(3))
    running = asyncio.create_task(sending.run())
    while sending._waiting:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    broker.open.set()
    await flushed(sending)
    ((_, decoded),) = broker.records
    assert list(decoded.comparisons) == sent
    assert [one.sampled for one in decoded.coverage] == [3]


async def test_it_says_when_it_is_full() -> None:
    broker = Broker()
    sending = sender(broker, limit_bytes=1_000)
    assert not sending.full
    sending.offer(comparison(text="x" * 1_000))
    assert sending.full
    await flushed(sending)
    assert not sending.full
