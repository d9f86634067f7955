"""``/v1/keys``: the keys that clients present to the gateway. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import ADMIN, PROBLEMS, Database, publish
from services.api.schemas import NewKey
from services.api.views import Items, KeyView, NewKeyView
from services.domain.errors import InvalidDefinition
from services.storage import audit, configuration, credentials, routes
from services.storage.credentials import Credential

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=PROBLEMS)

PREFIX = "hg_"


@router.post("", status_code=201)
async def create_key(body: NewKey, database: Database) -> NewKeyView:
    """Create a client's key. The answer is the only place where it is shown."""
    key = PREFIX + secrets.token_urlsafe(32)
    key_id = f"key_{secrets.token_hex(6)}"
    async with database.begin() as connection:
        await _check_routes(connection, body.routes or ())
        key_hash = hashlib.sha256(key.encode()).hexdigest()
        credential = await credentials.create(connection, key_id, key_hash, body.label, body.routes)
        await _publish(connection, credential)
        await audit.record(
            connection, actor=ADMIN, action="create", subject=f"key/{key_id}", after=body.model_dump()
        )
    return NewKeyView(key=key, **KeyView.of(credential).model_dump())


@router.get("")
async def list_keys(database: Database) -> Items[KeyView]:
    """List the keys, without the keys themselves."""
    async with database.connect() as connection:
        return Items(items=[KeyView.of(one) for one in await credentials.listing(connection)])


@router.delete("/{key_id}")
async def revoke_key(key_id: str, database: Database) -> KeyView:
    """Revoke a key; gateways refuse it from then on."""
    async with database.begin() as connection:
        credential = await credentials.revoke(connection, key_id)
        await _publish(connection, credential)
        await audit.record(connection, actor=ADMIN, action="revoke", subject=f"key/{key_id}")
    return KeyView.of(credential)


async def _publish(connection: AsyncConnection, credential: Credential) -> None:
    await publish(connection, credential.config(await configuration.next_version(connection)))


async def _check_routes(connection: AsyncConnection, route_keys: Sequence[str]) -> None:
    known = {route.key for route in await routes.listing(connection)}
    for i, key in enumerate(route_keys):
        if key not in known:
            raise InvalidDefinition(f"routes[{i}]", f"there is no route {key!r}; create it first")
