"""Kafka and Postgres go away and come back."""

import asyncio
from pathlib import Path

from services.embedded.databases import create_database
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.messaging.settings import KafkaSettings
from services.storage.migrate import upgrade
from tests.integration.workers.conftest import make_world
from tests.integration.workers.world import World


async def count_through(world: World, restart: object) -> None:
    """Count under load while ``restart`` is called, with a supervised worker."""
    assert callable(restart)
    try:
        world.keep_running(world.start_worker())
        async with world.gateway() as gateway:
            load = asyncio.create_task(gateway.send(1_500))
            await world.counted(200)
            await asyncio.to_thread(restart)
            await load
            await gateway.send(100)
            await world.assert_exact(gateway)
    finally:
        await world.stop()
        await world.engine.dispose()


async def test_kafka_restarts_under_load(own_kafka: EmbeddedKafka, database_url: str, tmp_path: Path) -> None:
    """The naive way that fails: offsets that Kafka lost or reset while it was away."""
    settings = KafkaSettings(kafka=own_kafka.bootstrap_servers)
    await count_through(await make_world(settings, database_url, tmp_path), own_kafka.restart)


async def test_postgres_restarts_under_load(
    own_postgres: EmbeddedPostgres, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """The naive ways that fail: dropping a flush that met no connection; trying one again whose commit may
    have gone through.
    """
    database_url = create_database(own_postgres.url, "counted")
    upgrade(database_url)
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)
    await count_through(await make_world(settings, database_url, tmp_path), own_postgres.restart)
