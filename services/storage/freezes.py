"""Freezes: where nothing but rollbacks happens by itself.

Whoever freezes holds the route, or all routes, and so does whoever applies a decision: once a freeze is
there, no decision of the policy is applied that it should have stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.restraint import EVERYWHERE, Freeze
from services.storage.tables import freezes


async def put(connection: AsyncConnection, scope: str, *, actor: str, reason: str) -> Freeze:
    """Freeze a route or everything; what is frozen already stays so, with the newer reason."""
    statement = insert(freezes).values(scope=scope, actor=actor, reason=reason)
    renewed = statement.on_conflict_do_update(
        index_elements=[freezes.c.scope], set_={"actor": actor, "reason": reason}
    )
    return _freeze((await connection.execute(renewed.returning(freezes))).one())


async def lift(connection: AsyncConnection, scope: str) -> Freeze | None:
    """End a freeze and return it; None where there was none."""
    statement = sa.delete(freezes).where(freezes.c.scope == scope).returning(freezes)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _freeze(row)


async def get(connection: AsyncConnection, scope: str) -> Freeze | None:
    """Return the freeze of exactly this scope, or None."""
    row = (await connection.execute(sa.select(freezes).where(freezes.c.scope == scope))).one_or_none()
    return None if row is None else _freeze(row)


async def of_routes(connection: AsyncConnection, route_keys: Iterable[str]) -> dict[str, list[Freeze]]:
    """Return what freezes each of these routes; the freeze of everything comes first."""
    keys = list(route_keys)
    query = sa.select(freezes).where(freezes.c.scope.in_((EVERYWHERE, *keys)))
    known = {row.scope: _freeze(row) for row in await connection.execute(query)}
    return {
        key: [known[scope] for scope in dict.fromkeys((EVERYWHERE, key)) if scope in known] for key in keys
    }


async def of_route(connection: AsyncConnection, route_key: str) -> list[Freeze]:
    """Return what freezes a route; the freeze of everything comes first."""
    return (await of_routes(connection, [route_key]))[route_key]


def _freeze(row: sa.Row[Any]) -> Freeze:
    return Freeze(row.scope, row.actor, row.reason, row.created_at)
