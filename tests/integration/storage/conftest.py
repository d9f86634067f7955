"""An engine on a database of the test's own, and a filled database that all may read."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded.databases import create_database, drop_database
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.storage import filled


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(DatabaseSettings(database_url=database_url), application_name="headgate-tests")
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def filled_url(postgres: str, migrated_template: str) -> Iterator[str]:
    """The database of ``filled``: filling it takes seconds, so nobody may write to it afterwards."""
    name = f"headgate_test_{uuid.uuid4().hex[:8]}_filled"
    url = create_database(postgres, name, migrated_template)
    filled.fill(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    yield url
    drop_database(postgres, name)
