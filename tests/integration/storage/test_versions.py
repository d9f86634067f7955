"""Versions of published states order every change of the same thing."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage.configuration import next_version


async def test_versions_rise_and_name_the_timeline(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        versions = [await next_version(connection) for _ in range(3)]
        timeline = await connection.scalar(sa.text("SELECT timeline_id FROM pg_control_checkpoint()"))
    assert versions == sorted(set(versions))
    assert {version[0] for version in versions} == {timeline}


async def test_a_user_without_privileges_may_take_one(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(sa.text("CREATE ROLE plain"))
        await connection.execute(sa.text("GRANT USAGE ON SEQUENCE config_version TO plain"))
        await connection.execute(sa.text("SET ROLE plain"))
        assert (await next_version(connection))[1] > 0
        await connection.rollback()
