"""The outcome publisher over a publisher that the test holds the reins of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from services.domain.configuration import InstallationConfig
from services.domain.events import Outcome, UnitSource
from services.domain.status import OutcomeStatus
from services.gateway.journal import SequenceJournal
from services.gateway.outcomes import OutcomePublisher
from services.messaging.codec import DecodedBatch, decode_batch
from services.messaging.publisher import Publisher

INSTALLATION = InstallationConfig(version=(1, 1), installation_id=UUID(int=1), outcome_partitions=1)


class FakePublisher:
    """Keeps what it is given, and acknowledges while it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.last_error = None
        self.batches: list[DecodedBatch] = []

    async def deliver(self, _topic: str, value: bytes, **_: Any) -> None:
        await self.open.wait()
        self.batches.append(decode_batch(value))


def outcome(number: int) -> Outcome:
    return Outcome(
        request_id=f"request-{number:03d}",
        route_key="r",
        variant_key="v",
        unit_hash=number,
        unit_source=UnitSource.USER,
        status=OutcomeStatus.OK,
        http_status=200,
        started_at_us=1,
        latency_us=1,
    )


@pytest.fixture
def kafka() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
async def outcomes(kafka: FakePublisher, tmp_path: Path) -> AsyncIterator[OutcomePublisher]:
    publisher = OutcomePublisher(
        cast("Publisher", kafka), "outcomes", tmp_path, gather_seconds=0.001, limit_bytes=500
    )
    publisher.start(INSTALLATION)
    yield publisher
    await publisher.stop(within_seconds=0.01)


async def settled(outcomes: OutcomePublisher) -> None:
    while outcomes.waiting_bytes:
        await asyncio.sleep(0)


async def test_the_first_goes_alone_and_the_next_ones_together(
    outcomes: OutcomePublisher, kafka: FakePublisher
) -> None:
    kafka.open.clear()
    outcomes.offer(outcome(0))
    while not outcomes.waiting_seconds:
        await asyncio.sleep(0)
    for number in range(1, 5):
        outcomes.offer(outcome(number))
    kafka.open.set()
    await settled(outcomes)
    assert [(batch.first_sequence, batch.length) for batch in kafka.batches] == [(0, 1), (1, 4)]
    assert outcomes.acknowledged == 5


async def test_beyond_the_limit_outcomes_are_shed_and_their_numbers_too(
    outcomes: OutcomePublisher, kafka: FakePublisher
) -> None:
    kafka.open.clear()
    for number in range(20):
        outcomes.offer(outcome(number))
    kept = 20 - outcomes.shed
    assert 0 < kept < 20
    assert outcomes.waiting_bytes <= outcomes.limit_bytes
    kafka.open.set()
    await settled(outcomes)
    outcomes.offer(outcome(20))
    await settled(outcomes)
    assert kafka.batches[-1].first_sequence == 20
    assert sum(batch.length for batch in kafka.batches) == kept + 1


async def test_a_stop_announces_what_was_shed_last(
    outcomes: OutcomePublisher, kafka: FakePublisher, tmp_path: Path
) -> None:
    kafka.open.clear()
    for number in range(20):
        outcomes.offer(outcome(number))
    kafka.open.set()
    await outcomes.stop(within_seconds=10)
    assert (kafka.batches[-1].first_sequence, kafka.batches[-1].length) == (20, 0)
    assert journals(tmp_path) == []


async def test_a_stop_that_cannot_flush_leaves_its_journal_to_the_next(
    outcomes: OutcomePublisher, kafka: FakePublisher, tmp_path: Path
) -> None:
    kafka.open.clear()
    outcomes.offer(outcome(0))
    await outcomes.stop(within_seconds=0.01)
    assert journals(tmp_path) == [f"{outcomes.gateway}.sequences"]


async def test_a_dead_gateway_is_announced_and_then_forgotten(kafka: FakePublisher, tmp_path: Path) -> None:
    dead = SequenceJournal.create(tmp_path, UUID(int=7), INSTALLATION.installation_id, 1)
    dead.numbers[0] = 41
    dead.close()
    outcomes = OutcomePublisher(
        cast("Publisher", kafka), "outcomes", tmp_path, gather_seconds=0.001, limit_bytes=500
    )
    outcomes.start(INSTALLATION)
    while f"{UUID(int=7)}.sequences" in journals(tmp_path):
        await asyncio.sleep(0)
    assert [(batch.gateway, batch.first_sequence) for batch in kafka.batches] == [(UUID(int=7), 41)]
    await outcomes.stop(within_seconds=10)
    assert journals(tmp_path) == []


def journals(state_dir: Path) -> list[str]:
    return sorted(path.name for path in state_dir.iterdir())
