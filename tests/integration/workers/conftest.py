"""Installations for tests of the workers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.messaging.settings import KafkaSettings
from services.messaging.topics import create_topics
from services.storage.installation import ensure_installation
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.workers.world import World

PARTITIONS = 4


async def make_world(kafka: KafkaSettings, database_url: str, directory: Path) -> World:
    """Set up an installation in a migrated database."""
    database = DatabaseSettings(database_url=database_url)
    engine = create_engine(database, application_name="test")
    async with engine.begin() as connection:
        await ensure_installation(connection, PARTITIONS)
    await create_topics(kafka, PARTITIONS)
    return World(kafka, database, engine, PARTITIONS, directory)


@pytest.fixture
async def world(kafka: str, topic_prefix: str, database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """An installation of this test's own."""
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)
    made = await make_world(settings, database_url, tmp_path)
    yield made
    await made.stop()
    await made.engine.dispose()
