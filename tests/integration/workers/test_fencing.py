"""The guarantees that Postgres gives, without Kafka and without processes."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.counts import Count
from services.storage import claims, count_cache
from services.storage.count_cache import CountCache
from services.storage.counting import Advance, ExperimentCount, Flush, write, write_values
from services.storage.identifiers import new_id
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

TOPIC = "outcomes.v1"


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(DatabaseSettings(database_url=database_url), application_name="test")
    yield made
    await made.dispose()


async def claim(engine: AsyncEngine) -> int:
    """Claim partition 0; return the epoch."""
    async with engine.begin() as connection:
        (progress,) = await claims.claim(connection, TOPIC, [0], claimed_by="test")
    return progress.epoch


def advance(epoch: int, start: int, end: int) -> Advance:
    return Advance(0, epoch, start, end, 1, 1, 1, end - start, 0, 0, None)


def count(experiment_id: UUID, tick: int) -> ExperimentCount:
    return ExperimentCount(experiment_id, 1, tick, 500, "control", 0, 1, 0, 0, 0, 0, 0, 0, 0)


async def test_a_flush_of_an_older_claim_is_fenced_though_the_offset_fits(engine: AsyncEngine) -> None:
    """The naive way that fails: compare-and-set on the offset alone, before the heir has counted anything."""
    old = await claim(engine)
    new = await claim(engine)
    flush = Flush(TOPIC, [advance(old, 0, 5)], experiments=[count(new_id(), 1)])
    with pytest.raises(claims.Fenced):
        async with engine.begin() as connection:
            await write(connection, flush)
    async with engine.begin() as connection:
        await write(connection, Flush(TOPIC, [advance(new, 0, 5)]))
        assert await connection.scalar(sa.text("SELECT count(*) FROM experiment_counts")) == 0


async def test_a_flush_counts_once_however_often_it_is_tried(engine: AsyncEngine) -> None:
    """The naive way that fails: trying again after an error, when the first try was committed."""
    epoch = await claim(engine)
    flush = Flush(TOPIC, [advance(epoch, 0, 5)])
    async with engine.begin() as connection:
        await write(connection, flush)
    with pytest.raises(claims.Fenced):
        async with engine.begin() as connection:
            await write(connection, flush)


async def test_a_reader_misses_no_row_of_a_transaction_that_took_longer(engine: AsyncEngine) -> None:
    """The older transaction commits after the younger one was read.

    The naive way that fails: reading what is stamped later than the latest stamp that was seen.
    """
    experiment_id, cache = new_id(), CountCache(phase=1)

    async def ticks() -> set[int]:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            await count_cache.refresh(connection, experiment_id, cache)
        return set(cache.table[Count.TICK].tolist())

    async with engine.connect() as slow:
        await write_values(slow, Flush(TOPIC, experiments=[count(experiment_id, 1)]))
        async with engine.begin() as fast:
            await write_values(fast, Flush(TOPIC, experiments=[count(experiment_id, 2)]))
        assert await ticks() == {2}
        await slow.commit()
    assert await ticks() == {1, 2}
