"""Waiting for what happens inside Postgres."""

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def until_a_lock_is_waited_for(engine: AsyncEngine) -> None:
    """Return once some connection to the database waits for a lock."""
    async with engine.connect() as connection:
        while not await connection.scalar(_WAITING):
            await connection.rollback()
            await asyncio.sleep(0.01)
