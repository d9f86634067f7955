"""Everything an installation needs before its services start: schema, installation, topics, configuration."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from services.messaging.records import config_record
from services.messaging.settings import KafkaSettings
from services.messaging.topics import create_topics
from services.storage import configuration, outbox
from services.storage.installation import Installation, ensure_installation
from services.storage.migrate import upgrade
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings


async def migrate_everything(
    database: DatabaseSettings, kafka: KafkaSettings, outcome_partitions: int
) -> None:
    """Bring schema, installation and topics up to date, and publish all configuration anew.

    Safe to repeat: it also fills a ``config.v1`` that was lost. Raises InstallationMismatch where the
    installation was created with other partitions.
    """
    await asyncio.to_thread(upgrade, database.database_url)
    engine = create_engine(database, application_name="headgate-migrate")
    try:
        async with engine.begin() as connection:
            installation = await ensure_installation(connection, outcome_partitions)
        await create_topics(kafka, installation.outcome_partitions)
        await _publish_everything(engine, installation)
    finally:
        await engine.dispose()


async def _publish_everything(engine: AsyncEngine, installation: Installation) -> None:
    async with engine.begin() as connection:
        await configuration.hold_routes(connection)
        states = [
            await configuration.installation_config(connection, installation),
            *await configuration.everything(connection),
        ]
        for state in states:
            await outbox.add(connection, *config_record(state))
