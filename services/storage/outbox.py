"""The outbox: what goes from Postgres to Kafka, written in the transaction that changed the state.

Rows name a topic without the installation's prefix; the relay, which knows Kafka, puts it before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.storage.tables import outbox

CHANNEL = "headgate_outbox"
_ONE_RELAY = 0x48656164_52454C59
"""The advisory lock of the one relay: "HeadRELY"."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One record to publish. ``topic`` is without prefix; ``partition`` None: chosen by the key."""

    outbox_id: int
    topic: str
    key: bytes
    value: bytes | None
    partition: int | None


async def add(
    connection: AsyncConnection, topic: str, key: bytes, value: bytes | None, partition: int | None = None
) -> None:
    """Write a record that is published once the caller's transaction commits, and wake the relay then."""
    row = sa.insert(outbox).values(topic=topic, key=key, value=value, partition=partition)
    added = row.returning(outbox.c.outbox_id).cte("added")
    await connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")).add_cte(added))


class OutboxSession:
    """The hold of one relay on the outbox, over one connection that also listens for news."""

    def __init__(self, connection: AsyncConnection, listener: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._listener = listener

    async def take(self, limit: int) -> Sequence[OutboxRow]:
        """Return the oldest rows that are committed."""
        with _lost_connections():
            rows = await self._connection.execute(sa.select(outbox).order_by(outbox.c.outbox_id).limit(limit))
            return [
                OutboxRow(row.outbox_id, row.topic, bytes(row.key), row.value, row.partition) for row in rows
            ]

    async def delete(self, outbox_ids: Sequence[int]) -> None:
        """Forget rows that are published."""
        with _lost_connections():
            await self._connection.execute(
                sa.delete(outbox).where(outbox.c.outbox_id == sa.any_(sa.literal(list(outbox_ids), _IDS)))
            )

    async def wait(self, seconds: float) -> None:
        """Return when something was added, or after ``seconds``."""
        with _lost_connections():
            async for _ in self._listener.notifies(timeout=seconds, stop_after=1):
                return


class OutboxQueue:
    """The outbox of a database, to be relayed by one process at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[OutboxSession | None]:
        """Hold the outbox while the context is open; None where another relay holds it.

        The hold is a lock of the connection: it ends with it, so a relay that died blocks nobody.
        """
        with _lost_connections():
            connection = await self._engine.connect()
        try:
            yield await self._claim(connection)
        finally:
            # Closed, not returned to the pool: it carries the lock and the subscription.
            await asyncio.shield(_discard(connection))

    async def _claim(self, connection: AsyncConnection) -> OutboxSession | None:
        with _lost_connections():
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if not await connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_ONE_RELAY))):
                return None
            await connection.execute(sa.text(f"LISTEN {CHANNEL}"))
            listener = (await connection.get_raw_connection()).driver_connection
        assert isinstance(listener, psycopg.AsyncConnection)  # noqa: S101 - narrows SQLAlchemy's Any
        return OutboxSession(connection, listener)


_IDS = sa.ARRAY(sa.BigInteger)


async def _discard(connection: AsyncConnection) -> None:
    await connection.invalidate()
    await connection.close()


@contextmanager
def _lost_connections() -> Iterator[None]:
    """Say in the standard library's words that Postgres cannot be reached, for callers that know no SQL."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise ConnectionError(f"Postgres: {error}") from error
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError):
            raise
        raise ConnectionError(f"Postgres: {error.orig}") from error
