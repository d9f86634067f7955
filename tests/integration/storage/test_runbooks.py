"""The SQL that runbooks tell their readers to run, run."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.unit.monitoring.pages import PAGES, statements

WITH_SQL = [page for page in PAGES if statements(page)]


def test_there_is_some() -> None:
    assert len(WITH_SQL) > 5


@pytest.mark.parametrize("page", WITH_SQL, ids=lambda page: page.stem)
async def test_a_runbooks_sql_runs(page: Path, database_url: str) -> None:
    engine = create_engine(DatabaseSettings(database_url=database_url), application_name="headgate-tests")
    try:
        async with engine.connect() as connection:
            for statement in statements(page):
                await connection.execute(sa.text(statement.replace(":", r"\:")))
    finally:
        await engine.dispose()
