"""Who used how much, by day: written with the counts, in the transaction that moves their progress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.arrays import insert

_KEY = ("day", "route_key", "variant_key", "team_key", "key_id", "partition")


class UsageCount(NamedTuple):
    """What is added to a row of ``usage``. The day is UTC, by the broker's clock, as ``last_tick`` is."""

    day: date
    route_key: str
    variant_key: str
    team_key: str
    key_id: str
    partition: int
    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nanos: int
    unpriced_requests: int
    last_tick: int


class KeyUse(NamedTuple):
    """When a key was used last."""

    key_id: str
    used_at_ms: int


async def add_usage(connection: AsyncConnection, counts: Sequence[UsageCount]) -> None:
    """Add to ``usage``. A row has one writer, the owner of its partition: nobody waits for another."""
    await insert(connection, _USAGE, sorted(counts))


async def mark_used(connection: AsyncConnection, keys: Sequence[KeyUse]) -> None:
    """Note when keys were used, where that is news; pass over those that somebody is changing."""
    await insert(connection, _KEYS, sorted(keys))


_TYPES = ("date", *["text"] * 4, "int", *["bigint"] * 8)
_SUMS = UsageCount._fields[len(_KEY) : -1]

# Every name is one of our own columns.
_USAGE = sa.text(f"""
    INSERT INTO usage AS u ({", ".join(UsageCount._fields)})
    SELECT * FROM unnest({", ".join(f"CAST(:c{index} AS {kind}[])" for index, kind in enumerate(_TYPES))})
    ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET
        {", ".join(f"{name} = u.{name} + excluded.{name}" for name in _SUMS)},
        last_tick = greatest(u.last_tick, excluded.last_tick)
""")  # noqa: S608

# SKIP LOCKED: counting waits for no one who changes keys. The key is used again, or was changed just now.
_KEYS = sa.text("""
    WITH used AS (
        SELECT c.key_id, to_timestamp(d.used_at_ms / 1000.0) AS used_at
        FROM credentials c
        JOIN unnest(CAST(:c0 AS text[]), CAST(:c1 AS bigint[])) AS d(key_id, used_at_ms) USING (key_id)
        WHERE c.last_used_at IS NULL OR c.last_used_at < to_timestamp(d.used_at_ms / 1000.0)
        FOR NO KEY UPDATE OF c SKIP LOCKED
    )
    UPDATE credentials c SET last_used_at = used.used_at FROM used WHERE c.key_id = used.key_id
""")
