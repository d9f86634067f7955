"""`headgate migrate`: everything an installation needs, as often as one likes."""

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from services.api.setup import migrate_everything
from services.domain.configuration import Config, InstallationConfig
from services.domain.errors import InstallationMismatch
from services.messaging.settings import KafkaSettings
from services.messaging.topics import check_topics
from services.storage.settings import DatabaseSettings
from services.storage.tables import outbox
from tests.integration.api.conftest import Client


async def waiting_states(database: DatabaseSettings) -> list[Config]:
    engine = create_async_engine(database.database_url)
    async with engine.connect() as connection:
        values = (await connection.scalars(sa.select(outbox.c.value).order_by(outbox.c.outbox_id))).all()
    await engine.dispose()
    return [msgspec.json.decode(value, type=Config) for value in values]


async def test_an_empty_database_becomes_an_installation(
    empty_database_url: str, kafka: str, topic_prefix: str
) -> None:
    database = DatabaseSettings(database_url=empty_database_url)
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)

    await migrate_everything(database, settings, 4)
    await migrate_everything(database, settings, 4)

    await check_topics(settings, 4)
    first, second = await waiting_states(database)
    assert isinstance(first, InstallationConfig)
    assert isinstance(second, InstallationConfig)
    assert first.outcome_partitions == 4
    assert first.installation_id == second.installation_id
    assert first.version < second.version
    with pytest.raises(InstallationMismatch, match="created with 4"):
        await migrate_everything(database, settings, 8)


async def test_all_configuration_is_published_anew(
    drafted: Client, database_url: str, kafka: str, topic_prefix: str
) -> None:
    await drafted.made("/v1/keys", {"label": "checkout"})
    await drafted.post("/v1/experiments/canary/start")
    database = DatabaseSettings(database_url=database_url)
    before = await waiting_states(database)

    await migrate_everything(database, KafkaSettings(kafka=kafka, topic_prefix=topic_prefix), 8)

    anew = (await waiting_states(database))[len(before) :]
    assert [type(state).__name__ for state in anew] == [
        "InstallationConfig",
        "EndpointConfig",
        "RouteConfig",
        "CredentialConfig",
    ]
    newest_before = {(type(state), state.name): state for state in before}
    for state in anew[1:]:
        known = newest_before[type(state), state.name]
        assert state.version > known.version
        assert msgspec.structs.replace(state, version=known.version) == known
