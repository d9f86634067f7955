"""Feedback to Kafka, over a publisher that the test holds the reins of."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaError

from services.domain.assignment import outcome_partition, unit_hash
from services.domain.events import Feedback, UnitSource
from services.gateway.feedback_store import RECORD_BYTES, FeedbackNotStored, FeedbackStore
from services.messaging.codec import decode_record
from services.messaging.publisher import Publisher

PARTITIONS = 4


class FakePublisher:
    """Keeps what it is given while it is open; partitions in ``broken`` fail."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.broken: set[int] = set()
        self.records: list[tuple[int, bytes]] = []

    async def send(self, _topic: str, value: bytes, *, partition: int) -> None:
        await self.open.wait()
        if partition in self.broken:
            raise KafkaError("no leader")
        self.records.append((partition, value))

    async def stop(self) -> None:
        """Nothing to stop."""


@pytest.fixture
def kafka() -> FakePublisher:
    return FakePublisher()


def store_over(kafka: FakePublisher, **changes: Any) -> FeedbackStore:
    options: dict[str, Any] = {"wait_seconds": 30.0, "limit_bytes": 10_000} | changes
    return FeedbackStore(cast("Publisher", kafka), "outcomes", **options)


def feedback(number: int, request_id: str = "request") -> Feedback:
    return Feedback(
        event_id=f"event-{number}",
        name="score",
        value=number / 2,
        is_boolean=False,
        unit_hash=unit_hash(f"user-{number}"),
        unit_source=UnitSource.USER,
        request_id=request_id,
        route_key="support",
        received_at_us=1,
        assignments=(),
    )


async def test_every_piece_goes_to_its_units_partition(kafka: FakePublisher) -> None:
    given = [feedback(number) for number in range(50)]
    await store_over(kafka).store(given, PARTITIONS)
    assert sorted(partition for partition, _ in kafka.records) == list(range(PARTITIONS))
    found = {}
    for partition, value in kafka.records:
        record = decode_record(value)
        assert not record.unreadable
        for _, one in record.feedback:
            assert outcome_partition(one.unit_hash, PARTITIONS) == partition
            found[one.event_id] = one
    assert found == {one.event_id: one for one in given}


async def test_records_stay_below_what_a_broker_takes(kafka: FakePublisher) -> None:
    given = [feedback(1, "r" * 50_000)] * 20
    await store_over(kafka, limit_bytes=10**7).store(given, PARTITIONS)
    assert len(kafka.records) > 1
    assert max(len(value) for _, value in kafka.records) < RECORD_BYTES + 60_000
    assert sum(len(decode_record(value).feedback) for _, value in kafka.records) == 20


async def test_a_partition_that_fails_fails_all(kafka: FakePublisher) -> None:
    store, given = store_over(kafka), [feedback(number) for number in range(20)]
    kafka.broken = {2}
    with pytest.raises(FeedbackNotStored, match="send all of it again"):
        await store.store(given, PARTITIONS)
    assert store.waiting_bytes == 0
    kafka.broken = set()
    await store.store(given, PARTITIONS)


async def test_what_is_late_is_not_acknowledged_and_may_still_arrive(kafka: FakePublisher) -> None:
    store = store_over(kafka, wait_seconds=0.001)
    kafka.open.clear()
    with pytest.raises(FeedbackNotStored):
        await store.store([feedback(1)], PARTITIONS)
    assert store.waiting_bytes > 0
    kafka.open.set()
    await store.stop(within_seconds=30)
    assert len(kafka.records) == 1
    assert store.waiting_bytes == 0


async def test_what_waits_is_bounded(kafka: FakePublisher) -> None:
    store = store_over(kafka, wait_seconds=0.001, limit_bytes=100)
    kafka.open.clear()
    with pytest.raises(FeedbackNotStored, match="does not take it"):
        await store.store([feedback(1)], PARTITIONS)
    with pytest.raises(FeedbackNotStored, match="too much"):
        await store.store([feedback(2)], PARTITIONS)
    await store.stop(within_seconds=0.001)
    assert kafka.records == []


async def test_a_bug_is_no_outage(kafka: FakePublisher) -> None:
    async def send(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    kafka.send = send  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a bug"):
        await store_over(kafka).store([feedback(1)], PARTITIONS)
