"""Engines: how connections are made and how long anything may wait on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.storage.settings import DatabaseSettings


def create_engine(
    settings: DatabaseSettings, *, application_name: str, idle_in_transaction_seconds: float = 30.0
) -> AsyncEngine:
    """Return an engine whose connections are checked before use and never wait on a lock for long.

    A transaction that its process leaves lying for ``idle_in_transaction_seconds`` is rolled back.
    """
    idle_ms = int(idle_in_transaction_seconds * 1000)
    return create_async_engine(
        settings.database_url,
        pool_size=settings.database_pool_size,
        pool_pre_ping=True,
        # The connection used last has its statements prepared, and is the likeliest to be alive.
        pool_use_lifo=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            "options": (
                f"-c timezone=UTC -c lock_timeout=5s -c idle_in_transaction_session_timeout={idle_ms}"
            ),
        },
    )


async def allow_idle(connection: AsyncConnection, seconds: float) -> None:
    """Let the transaction under way lie for so long: something else is waited for, and it holds no locks."""
    setting = sa.func.set_config("idle_in_transaction_session_timeout", str(int(seconds * 1000)), True)
    await connection.execute(sa.select(setting))
