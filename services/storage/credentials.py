"""Keys, of clients and of people: only their hashes are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.access import KeyState, Role
from services.domain.configuration import ConfigVersion, CredentialConfig
from services.domain.errors import NotFound
from services.domain.limits import Limits
from services.storage.paging import Listed, Page, listed
from services.storage.tables import credentials

EXPIRES_SOON = timedelta(days=7)
"""A key that has less than this left is shown as expiring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A key to be stored. ``routes`` None allows every route."""

    key_id: str
    key_hash: str
    label: str
    role: Role = "client"
    team_key: str | None = None
    routes: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = ()
    limits: Limits | None = None
    expires_at: datetime | None = None
    rotated_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential(NewCredential):
    """A key as it is stored. ``state`` is as of the moment in which it was read."""

    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    successor: str | None
    state: KeyState

    @property
    def is_usable(self) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.state in ("active", "expiring")

    def config(self, version: ConfigVersion) -> CredentialConfig:
        """Return the credential as it is published."""
        return CredentialConfig(
            version=version,
            key_hash=self.key_hash,
            key_id=self.key_id,
            label=self.label,
            routes=self.routes,
            scopes=self.scopes,
            revoked=self.revoked_at is not None,
            team=self.team_key,
            expires_at=None if self.expires_at is None else self.expires_at.timestamp(),
            limits=self.limits,
        )


@dataclass(frozen=True, slots=True)
class Sought:
    """Which keys are sought: all that fulfil what is not None."""

    team: str | None = None
    role: Role | None = None
    state: KeyState | None = None


_STATE = sa.case(
    (credentials.c.revoked_at.is_not(None), "revoked"),
    (credentials.c.expires_at <= sa.func.now(), "expired"),
    (credentials.c.expires_at <= sa.func.now() + EXPIRES_SOON, "expiring"),
    else_="active",
)
_later = credentials.alias("later")
_SUCCESSOR = (
    sa.select(_later.c.key_id)
    .where(_later.c.rotated_from == credentials.c.key_id)
    .order_by(_later.c.created_at.desc())
    .limit(1)
    .scalar_subquery()
)
_SHOWN: sa.Select[Any] = sa.select(*credentials.c, _STATE.label("state"), _SUCCESSOR.label("successor"))


async def create(connection: AsyncConnection, new: NewCredential) -> Credential:
    """Add a key's hash."""
    await connection.execute(sa.insert(credentials).values(_row(new)))
    return await get(connection, new.key_id)


async def get(connection: AsyncConnection, key_id: str, *, lock: bool = False) -> Credential:
    """Return a key; with ``lock`` nobody changes it until the transaction ends."""
    if lock:
        # A statement of its own: the next one must see the successor that the previous holder made.
        held = sa.select(credentials.c.key_id).where(credentials.c.key_id == key_id).with_for_update()
        await connection.execute(held)
    row = (await connection.execute(_SHOWN.where(credentials.c.key_id == key_id))).one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id!r}; GET /v1/keys lists them")
    return _credential(row)


async def by_hash(connection: AsyncConnection, key_hash: str) -> Credential | None:
    """Return the key that has this hash."""
    row = (await connection.execute(_SHOWN.where(credentials.c.key_hash == key_hash))).one_or_none()
    return None if row is None else _credential(row)


async def update(connection: AsyncConnection, credential: Credential) -> Credential:
    """Store what may change of a key that the caller holds, and return it as it is then."""
    row = _row(credential) | {"revoked_at": credential.revoked_at}
    changed = sa.update(credentials).where(credentials.c.key_id == credential.key_id).values(row)
    await connection.execute(changed)
    return await get(connection, credential.key_id)


async def revoke(connection: AsyncConnection, key_id: str) -> Credential:
    """Revoke a key; revoking it again changes nothing."""
    revoked = (
        sa.update(credentials)
        .where(credentials.c.key_id == key_id)
        .values(revoked_at=sa.func.coalesce(credentials.c.revoked_at, sa.func.now()))
    )
    await connection.execute(revoked)
    return await get(connection, key_id)


async def note_use(connection: AsyncConnection, key_id: str) -> None:
    """Note that a key is used now. Where somebody is changing it, the next use will tell."""
    free = sa.select(credentials.c.key_id).where(credentials.c.key_id == key_id)
    free_now = free.with_for_update(skip_locked=True).correlate(None).scalar_subquery()
    used = sa.update(credentials).where(credentials.c.key_id == free_now)
    await connection.execute(used.values(last_used_at=sa.func.now()))


async def any_of_role(connection: AsyncConnection, role: Role) -> bool:
    """Say whether there is a usable key of a role."""
    usable = sa.select(1).where(credentials.c.role == role, _STATE.in_(("active", "expiring")))
    return bool(await connection.scalar(sa.select(usable.exists())))


async def of_team(connection: AsyncConnection, team_key: str) -> list[Credential]:
    """Return a team's usable keys, oldest first."""
    query = _SHOWN.where(credentials.c.team_key == team_key, _STATE.in_(("active", "expiring")))
    rows = await connection.execute(query.order_by(credentials.c.created_at))
    return [_credential(row) for row in rows]


async def clients(connection: AsyncConnection) -> list[Credential]:
    """Return every key of the role ``client``, oldest first, held until the transaction ends."""
    query = _SHOWN.where(credentials.c.role == "client")
    query = query.order_by(credentials.c.created_at, credentials.c.key_id)
    rows = await connection.execute(query.with_for_update(of=credentials))
    return [_credential(row) for row in rows]


async def page(connection: AsyncConnection, asked: Page, sought: Sought = Sought()) -> Listed[Credential]:
    """Return a page of the keys that are sought, oldest first."""
    query = _SHOWN
    wanted = (credentials.c.team_key, sought.team), (credentials.c.role, sought.role), (_STATE, sought.state)
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return await listed(connection, query, asked, _credential, credentials.c.created_at, credentials.c.key_id)


_COLUMNS = tuple(field.name for field in fields(NewCredential))


def _row(credential: NewCredential) -> dict[str, Any]:
    row = {name: getattr(credential, name) for name in _COLUMNS}
    return row | {"limits": msgspec.to_builtins(credential.limits)}


def _credential(row: sa.Row[Any]) -> Credential:
    known = {field.name: getattr(row, field.name) for field in fields(Credential)}
    known["routes"] = _tuple(row.routes)
    known["scopes"] = tuple(row.scopes)
    known["limits"] = msgspec.convert(row.limits, Limits | None)
    return Credential(**known)


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)
