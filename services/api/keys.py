"""``/v1/keys``: the keys that clients present to the gateway. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import PROBLEMS, Database, publish
from services.api.paging import Paged
from services.api.schemas import NewKey
from services.api.transactions import Changing, Creating, Route
from services.api.views import Items, KeyView, NewKeyView
from services.domain.errors import InvalidDefinition
from services.storage import audit, configuration, credentials, routes
from services.storage.credentials import Credential

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=PROBLEMS, route_class=Route)

PREFIX = "hg_"


@router.post("", status_code=201)
async def create_key(body: NewKey, transaction: Creating) -> NewKeyView:
    """Create a client's key. The answer is the only place where it is shown, and only the first time."""
    connection = transaction.connection
    key = PREFIX + secrets.token_urlsafe(32)
    key_id = f"key_{secrets.token_hex(6)}"
    await _check_routes(connection, body.routes or ())
    key_hash = hashlib.sha256(key.encode()).hexdigest()
    credential = await credentials.create(
        connection, key_id, key_hash, body.label, body.routes, scopes=body.scopes
    )
    await _publish(connection, credential)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="create",
        subject=f"key/{key_id}",
        after=body.model_dump(),
    )
    transaction.kept_as["key"] = None
    return NewKeyView(key=key, **KeyView.of(credential).model_dump())


@router.get("")
async def list_keys(database: Database, paging: Paged) -> Items[KeyView]:
    """List the keys, oldest first, without the keys themselves."""
    async with database.connect() as connection:
        found = await credentials.page(connection, paging.page(tuple[datetime, str]))
    return paging.items(found, KeyView.of)


@router.get("/{key_id}")
async def show_key(key_id: str, database: Database) -> KeyView:
    """Show a key, without the key itself."""
    async with database.connect() as connection:
        return KeyView.of(await credentials.get(connection, key_id))


@router.delete("/{key_id}")
async def revoke_key(key_id: str, transaction: Changing) -> KeyView:
    """Revoke a key; gateways refuse it from then on."""
    connection = transaction.connection
    transaction.check_seen(KeyView.of(await credentials.get(connection, key_id, lock=True)))
    credential = await credentials.revoke(connection, key_id)
    await _publish(connection, credential)
    await audit.record(connection, actor=transaction.actor, action="revoke", subject=f"key/{key_id}")
    return KeyView.of(credential)


async def _publish(connection: AsyncConnection, credential: Credential) -> None:
    await publish(connection, credential.config(await configuration.next_version(connection)))


async def _check_routes(connection: AsyncConnection, route_keys: Sequence[str]) -> None:
    known = {route.key for route in await routes.listing(connection)}
    for i, key in enumerate(route_keys):
        if key not in known:
            raise InvalidDefinition(f"routes[{i}]", f"there is no route {key!r}; create it first")
