"""Routing goes on through restarts of what it stands on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.messaging.settings import KafkaSettings
from services.messaging.topics import create_topics
from services.storage.installation import ensure_installation
from services.storage.migrate import upgrade
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.routing.conftest import eventually, start_canary
from tests.integration.routing.test_apply import decision
from tests.integration.routing.test_service import newest_routes, record, routing, settled


@pytest.fixture
async def own_engine(own_postgres: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    """An engine on a Postgres that the test may stop, with an installation."""
    upgrade(own_postgres.url)
    engine = create_engine(DatabaseSettings(database_url=own_postgres.url), application_name="headgate-tests")
    async with engine.begin() as connection:
        await ensure_installation(connection, 2)
    yield engine
    await engine.dispose()


async def test_a_restart_of_postgres(
    kafka: str, topic_prefix: str, own_postgres: EmbeddedPostgres, own_engine: AsyncEngine
) -> None:
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, 2)
    canaries = [await start_canary(own_engine, f"canary-{n}", f"route-{n}") for n in range(2)]
    database = DatabaseSettings(database_url=own_postgres.url)

    async with routing(settings, database, sweep_seconds=0.1):
        await settled(own_engine, await record(own_engine, decision(canaries[0], "rollback")))
        await asyncio.to_thread(own_postgres.restart)
        await own_engine.dispose()
        one = await settled(own_engine, await record(own_engine, decision(canaries[1], "promote")))
        assert one.state == "applied"

        async def look() -> bool:
            return {"route-0", "route-1"} <= (await newest_routes(settings)).keys()

        await eventually(look)


async def test_a_restart_of_kafka(
    own_kafka: EmbeddedKafka, database: DatabaseSettings, engine: AsyncEngine
) -> None:
    settings = KafkaSettings(kafka=own_kafka.bootstrap_servers)
    async with engine.begin() as connection:
        await ensure_installation(connection, 2)
    await create_topics(settings, 2)
    canaries = [await start_canary(engine, f"canary-{n}", f"route-{n}") for n in range(2)]

    async with routing(settings, database, sweep_seconds=0.1):
        # At its start it asks Kafka for its topics, so it has to have begun.
        await settled(engine, await record(engine, decision(canaries[0], "rollback")))
        await asyncio.to_thread(own_kafka.process.stop)
        one = await settled(engine, await record(engine, decision(canaries[1], "rollback")))
        assert one.state == "applied"  # by the sweep: a rollback does not wait for Kafka
        await asyncio.to_thread(own_kafka.restart)

        async def look() -> bool:
            state = (await newest_routes(settings)).get("route-1")
            return state is not None and state.experiment is None

        await eventually(look)
