"""Answers that are kept under the key their request came with, in the transaction of what it changed.

So there is no state in between: after a crash either both the change and its answer are there, or neither is,
and the request may be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import idempotency_keys

KEPT_FOR = timedelta(hours=24)
ROWS_AT_ONCE = 2_000
"""The most rows that one statement deletes."""
_LOCKS = 0x4964656D
"""The class of the advisory locks, one for each key under way: "Idem"."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered. ``fingerprint`` tells it from another one with the same key."""

    method: str
    path: str
    fingerprint: str
    status: int
    headers: dict[str, str]
    body: bytes


async def hold(connection: AsyncConnection, actor: str, key: str) -> bool:
    """Take the key until the transaction ends; say False where another request holds it."""
    lock = sa.func.pg_try_advisory_xact_lock(_LOCKS, sa.func.hashtext(f"{actor}/{key}"))
    return bool(await connection.scalar(sa.select(lock)))


async def find(connection: AsyncConnection, actor: str, key: str) -> KeptAnswer | None:
    """Return the answer that is kept under a key, or None."""
    kept = idempotency_keys.c
    query = sa.select(kept.method, kept.path, kept.fingerprint, kept.status, kept.headers, kept.body).where(
        kept.actor == actor, kept.key == key, kept.created_at > sa.func.now() - KEPT_FOR
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else KeptAnswer(*row)


async def keep(connection: AsyncConnection, actor: str, key: str, answer: KeptAnswer) -> None:
    """Keep an answer, in the place of one that has expired."""
    values = {
        "method": answer.method,
        "path": answer.path,
        "fingerprint": answer.fingerprint,
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "created_at": sa.func.now(),
    }
    added = insert(idempotency_keys).values(actor=actor, key=key, **values)
    await connection.execute(added.on_conflict_do_update(index_elements=["actor", "key"], set_=values))


async def prune(connection: AsyncConnection) -> int:
    """Forget a bounded number of expired answers; return how many."""
    kept = idempotency_keys.c
    expired = (
        sa.select(kept.actor, kept.key).where(kept.created_at < sa.func.now() - KEPT_FOR).limit(ROWS_AT_ONCE)
    )
    forget = sa.delete(idempotency_keys).where(sa.tuple_(kept.actor, kept.key).in_(expired))
    return (await connection.execute(forget)).rowcount
