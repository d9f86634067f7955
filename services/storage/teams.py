"""Teams: who keys belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.configuration import ConfigVersion, TeamConfig
from services.domain.errors import Conflict, NotFound
from services.domain.limits import Limits
from services.storage import credentials
from services.storage.paging import Listed, Page, begins_with, listed
from services.storage.tables import credentials as credentials_table
from services.storage.tables import teams


@dataclass(frozen=True, slots=True)
class Team:
    """A team as it is stored. ``limits`` are of all its keys together."""

    key: str
    label: str
    limits: Limits | None
    created_at: datetime

    def config(self, version: ConfigVersion) -> TeamConfig:
        """Return the team as it is published."""
        return TeamConfig(version=version, key=self.key, limits=self.limits)


async def create(connection: AsyncConnection, key: str, label: str, limits: Limits | None) -> Team:
    """Add a team. Raises Conflict where the key is taken."""
    row = {"key": key, "label": label, "limits": msgspec.to_builtins(limits)}
    added = insert(teams).values(row).on_conflict_do_nothing().returning(*teams.c)
    made = (await connection.execute(added)).one_or_none()
    if made is None:
        raise Conflict(f"a team {key!r} exists already; change it with PUT, or take another key")
    return _team(made)


async def get(connection: AsyncConnection, key: str, *, lock: bool = False) -> Team:
    """Return a team; with ``lock`` nobody else changes it until the transaction ends."""
    query = sa.select(teams).where(teams.c.key == key)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(f"there is no team {key!r}; GET /v1/teams lists them")
    return _team(row)


async def hold(connection: AsyncConnection, key: str) -> bool:
    """Keep a team from being deleted until the transaction ends; False where there is none."""
    held = sa.select(teams.c.key).where(teams.c.key == key).with_for_update(key_share=True, read=True)
    return await connection.scalar(held) is not None


async def listing(connection: AsyncConnection) -> list[Team]:
    """Return every team, by key, held until the transaction ends."""
    query = sa.select(teams).order_by(teams.c.key).with_for_update()
    return [_team(row) for row in await connection.execute(query)]


async def page(connection: AsyncConnection, asked: Page, *, prefix: str | None = None) -> Listed[Team]:
    """Return a page of the teams, by key."""
    query = begins_with(sa.select(teams), teams.c.key, prefix)
    return await listed(connection, query, asked, _team, teams.c.key)


async def update(connection: AsyncConnection, key: str, label: str, limits: Limits | None) -> Team:
    """Store another definition of a team that the caller holds."""
    values = {"label": label, "limits": msgspec.to_builtins(limits), "updated_at": sa.func.now()}
    changed = sa.update(teams).where(teams.c.key == key).values(values).returning(*teams.c)
    return _team((await connection.execute(changed)).one())


async def delete(connection: AsyncConnection, key: str) -> None:
    """Forget a team that the caller holds. Raises Conflict while keys of it can be used."""
    if usable := await credentials.of_team(connection, key):
        named = ", ".join(one.key_id for one in usable[:3]) + (", …" if len(usable) > 3 else "")
        raise Conflict(
            f"team {key!r} has {len(usable)} keys that can be used ({named}); revoke them, or give them to "
            "another team; GET /v1/keys lists them, by team"
        )
    owned = sa.update(credentials_table).where(credentials_table.c.team_key == key)
    await connection.execute(owned.values(team_key=None))
    await connection.execute(sa.delete(teams).where(teams.c.key == key))


def _team(row: sa.Row[Any]) -> Team:
    return Team(row.key, row.label, msgspec.convert(row.limits, Limits | None), row.created_at)
