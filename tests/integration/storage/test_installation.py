"""What is fixed at the beginning stays."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.errors import InstallationMismatch
from services.storage.installation import ensure_installation, read_installation


async def test_the_first_call_decides(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        with pytest.raises(InstallationMismatch, match="headgate migrate"):
            await read_installation(connection)
        first = await ensure_installation(connection, 8)
        assert await ensure_installation(connection, 8) == first
        assert await read_installation(connection) == first


async def test_other_partitions_are_refused(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await ensure_installation(connection, 8)
        with pytest.raises(InstallationMismatch, match="created with 8 outcome partitions, not 16"):
            await ensure_installation(connection, 16)
