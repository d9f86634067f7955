"""Clients' keys: only their hashes are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.configuration import ConfigVersion, CredentialConfig
from services.domain.errors import NotFound
from services.storage.paging import Listed, Page, listed
from services.storage.tables import credentials


@dataclass(frozen=True, slots=True)
class Credential:
    """A client's key as it is stored. ``routes`` None allows every route."""

    key_id: str
    key_hash: str
    label: str
    routes: tuple[str, ...] | None
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None

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
        )


async def create(
    connection: AsyncConnection,
    key_id: str,
    key_hash: str,
    label: str,
    routes: Sequence[str] | None,
    *,
    scopes: Sequence[str] = (),
) -> Credential:
    """Add a key's hash."""
    values = {
        "key_id": key_id,
        "key_hash": key_hash,
        "label": label,
        "routes": routes,
        "scopes": list(scopes),
    }
    added = sa.insert(credentials).values(values).returning(*credentials.c)
    return _credential((await connection.execute(added)).one())


async def get(connection: AsyncConnection, key_id: str, *, lock: bool = False) -> Credential:
    """Return a key; with ``lock`` nobody revokes it until the transaction ends."""
    query = sa.select(credentials).where(credentials.c.key_id == key_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id!r}; GET /v1/keys lists them")
    return _credential(row)


async def revoke(connection: AsyncConnection, key_id: str) -> Credential:
    """Revoke a key; revoking it again changes nothing."""
    revoked = (
        sa.update(credentials)
        .where(credentials.c.key_id == key_id)
        .values(revoked_at=sa.func.coalesce(credentials.c.revoked_at, sa.func.now()))
        .returning(*credentials.c)
    )
    row = (await connection.execute(revoked)).one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id!r}; GET /v1/keys lists them")
    return _credential(row)


async def listing(connection: AsyncConnection, *, lock: bool = False) -> list[Credential]:
    """Return every key, oldest first; with ``lock`` none is revoked until the transaction ends."""
    query = sa.select(credentials).order_by(credentials.c.created_at, credentials.c.key_id)
    if lock:
        query = query.with_for_update()
    return [_credential(row) for row in await connection.execute(query)]


async def page(connection: AsyncConnection, asked: Page) -> Listed[Credential]:
    """Return a page of the keys, oldest first."""
    order = (credentials.c.created_at, credentials.c.key_id)
    return await listed(connection, sa.select(credentials), asked, _credential, *order)


def _credential(row: sa.Row[Any]) -> Credential:
    routes = None if row.routes is None else tuple(row.routes)
    return Credential(
        key_id=row.key_id,
        key_hash=row.key_hash,
        label=row.label,
        routes=routes,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
