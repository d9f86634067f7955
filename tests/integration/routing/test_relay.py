"""The outbox relay: what was committed arrives, in order, through every restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.messaging.outbox import TRANSACTIONAL_ID, OutboxRelay
from services.messaging.publisher import transactional_producer
from services.messaging.settings import KafkaSettings
from services.messaging.topics import create_topics
from services.storage import outbox
from services.storage.migrate import upgrade
from services.storage.outbox import OutboxQueue
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.storage.tables import outbox as outbox_table
from tests.integration.routing.conftest import eventually

TOPIC = "config.v1"


@asynccontextmanager
async def relaying(settings: KafkaSettings, engine: AsyncEngine) -> AsyncIterator[asyncio.Event]:
    """A relay that runs; the event ends it."""
    stop = asyncio.Event()
    running = asyncio.create_task(OutboxRelay(settings, OutboxQueue(engine)).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await running


@asynccontextmanager
async def reading(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + TOPIC,
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def add(engine: AsyncEngine, *values: str) -> None:
    async with engine.begin() as connection:
        for value in values:
            await outbox.add(connection, TOPIC, b"key", value.encode())


async def read_until(consumer: AIOKafkaConsumer, last: str) -> list[str]:
    """The values up to ``last``, repeats left out: a relay may publish twice what it was not sure of."""
    values: list[str] = []
    while last not in values:
        value = (await consumer.getone()).value.decode()
        if value not in values:
            values.append(value)
    return values


async def emptied(engine: AsyncEngine) -> None:
    async def look() -> bool:
        async with engine.connect() as connection:
            return not await connection.scalar(sa.select(sa.func.count()).select_from(outbox_table))

    await eventually(look)


async def test_committed_rows_arrive_in_order_and_leave_the_outbox(
    settings: KafkaSettings, engine: AsyncEngine
) -> None:
    await add(engine, "before 1", "before 2")
    async with relaying(settings, engine), reading(settings) as consumer:
        assert await read_until(consumer, "before 2") == ["before 1", "before 2"]
        await add(engine, "after")
        assert await read_until(consumer, "after") == ["after"]
        await emptied(engine)


async def test_what_is_rolled_back_is_never_published(settings: KafkaSettings, engine: AsyncEngine) -> None:
    async with relaying(settings, engine), reading(settings) as consumer:
        async with engine.connect() as connection:
            await outbox.add(connection, TOPIC, b"key", b"never")
            await connection.rollback()
        await add(engine, "committed")
        assert await read_until(consumer, "committed") == ["committed"]


async def test_more_rows_than_a_batch(settings: KafkaSettings, engine: AsyncEngine) -> None:
    values = [str(number) for number in range(1_201)]
    await add(engine, *values)
    async with relaying(settings, engine), reading(settings) as consumer:
        assert await read_until(consumer, values[-1]) == values
        await emptied(engine)


async def test_a_second_relay_waits_and_takes_over(settings: KafkaSettings, engine: AsyncEngine) -> None:
    queue = OutboxQueue(engine)
    async with queue.lead() as first, queue.lead() as second:
        assert first is not None
        assert second is None
    async with relaying(settings, engine) as stop_first, reading(settings) as consumer:
        await add(engine, "first")
        await read_until(consumer, "first")
        async with relaying(settings, engine):
            stop_first.set()
            await add(engine, "second")
            assert await read_until(consumer, "second") == ["second"]


async def test_a_fenced_relay_comes_back(settings: KafkaSettings, engine: AsyncEngine) -> None:
    async with relaying(settings, engine), reading(settings) as consumer:
        await add(engine, "before")
        await read_until(consumer, "before")
        usurper = transactional_producer(settings, transactional_id=TRANSACTIONAL_ID)
        await usurper.start()
        await usurper.stop()
        await add(engine, "after")
        assert await read_until(consumer, "after") == ["after"]


async def test_a_relay_that_lost_its_connection_comes_back(
    settings: KafkaSettings, engine: AsyncEngine
) -> None:
    async with relaying(settings, engine), reading(settings) as consumer:
        await add(engine, "before")
        await read_until(consumer, "before")
        async with engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND pid <> pg_backend_pid() "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        await add(engine, "after")
        assert await read_until(consumer, "after") == ["after"]
        await emptied(engine)


@pytest.fixture
async def own_engine(own_postgres: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    upgrade(own_postgres.url)
    engine = create_engine(DatabaseSettings(database_url=own_postgres.url), application_name="headgate-tests")
    yield engine
    await engine.dispose()


async def test_it_survives_a_restart_of_postgres(
    kafka: str, topic_prefix: str, own_postgres: EmbeddedPostgres, own_engine: AsyncEngine
) -> None:
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, 2)
    async with relaying(settings, own_engine), reading(settings) as consumer:
        await add(own_engine, "before")
        await read_until(consumer, "before")
        await emptied(own_engine)
        await asyncio.to_thread(own_postgres.restart)
        await own_engine.dispose()
        await add(own_engine, "after")
        assert await read_until(consumer, "after") == ["after"]


async def test_it_survives_a_restart_of_kafka(own_kafka: EmbeddedKafka, engine: AsyncEngine) -> None:
    settings = KafkaSettings(kafka=own_kafka.bootstrap_servers)
    await create_topics(settings, 2)
    async with relaying(settings, engine):
        await add(engine, "before")
        await emptied(engine)
        await asyncio.to_thread(own_kafka.process.stop)
        await add(engine, "while it was down")
        await asyncio.to_thread(own_kafka.restart)
        await emptied(engine)
    async with reading(settings) as consumer:
        assert await read_until(consumer, "while it was down") == ["before", "while it was down"]
