"""``/v1/keys``: the keys that clients present to the gateway, and people to this api.

Only their hashes are stored, and only those of clients' keys are published to the gateways.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from services.api import key_rules
from services.api.common import PROBLEMS, Database, publish
from services.api.key_bodies import ChangedKey, KeyView, NewKey, NewKeyView, RotateBody
from services.api.limit_bodies import changed_limits, limits_of
from services.api.paging import Paged
from services.api.roles import takes
from services.api.transactions import Acting, Changing, Creating, Route, Transaction
from services.api.views import Items
from services.domain.access import KeyState, Role, hash_key
from services.storage import audit, configuration, credentials
from services.storage.credentials import Credential, NewCredential, Sought

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=PROBLEMS, route_class=Route)

PREFIX = "hg_"


@router.post("", status_code=201)
@takes("admin")
async def create_key(body: NewKey, transaction: Creating) -> NewKeyView:
    """Create a key. The answer is the only place where it is shown, and only the first time."""
    key, new = _generated(
        label=body.label,
        role=body.role,
        team_key=body.team,
        routes=None if body.routes is None else tuple(body.routes),
        scopes=tuple(body.scopes),
        limits=limits_of(body.limits),
        expires_at=body.expires_at,
    )
    key_rules.check_expiry(new.expires_at, datetime.now(UTC))
    await key_rules.check_references(transaction.connection, new)
    credential = await credentials.create(transaction.connection, new)
    await _publish(transaction, credential)
    await _note(transaction, "create", after=credential)
    return _shown_once(transaction, key, credential)


@router.get("")
async def list_keys(
    database: Database,
    paging: Paged,
    team: Annotated[str | None, Query(description="Only those of this team")] = None,
    role: Annotated[Role | None, Query(description="Only those of this role")] = None,
    state: Annotated[KeyState | None, Query(description="Only those in this state")] = None,
) -> Items[KeyView]:
    """List the keys, oldest first, without the keys themselves."""
    async with database.connect() as connection:
        page = paging.page(tuple[datetime, str])
        found = await credentials.page(connection, page, Sought(team, role, state))
    return paging.items(found, KeyView.of)


@router.get("/{key_id}")
async def show_key(key_id: str, database: Database) -> KeyView:
    """Show a key, without the key itself."""
    async with database.connect() as connection:
        return KeyView.of(await credentials.get(connection, key_id))


@router.patch("/{key_id}")
@takes("admin")
async def change_key(key_id: str, body: ChangedKey, transaction: Changing) -> KeyView:
    """Change what a key may do and use, from now on. Its role and its secret stay as they are."""
    before = await _seen(transaction, key_id)
    key_rules.check_usable(before)
    changed = _changed(before, body)
    if changed == before:
        return KeyView.of(before)
    if "expires_at" in body.model_fields_set:
        key_rules.check_expiry(changed.expires_at, datetime.now(UTC))
    await key_rules.check_references(transaction.connection, changed, before)
    after = await credentials.update(transaction.connection, changed)
    await _publish(transaction, after)
    await _note(transaction, "replace", before=before, after=after)
    return KeyView.of(after)


@router.post("/{key_id}/rotate", status_code=201)
@takes("admin")
async def rotate_key(key_id: str, transaction: Acting, body: RotateBody | None = None) -> NewKeyView:
    """Create a key that may do the same, and let the old one expire after the overlap. The new key is shown
    this once."""
    connection, asked, now = transaction.connection, body or RotateBody(), datetime.now(UTC)
    old = await _seen(transaction, key_id)
    last = None if old.successor is None else await credentials.get(connection, old.successor)
    key_rules.check_rotation(old, last)
    key_rules.check_expiry(asked.expires_at, now)
    expires_at = asked.expires_at or key_rules.same_lifetime(last or old, now)
    key, new = _generated(**_inherited(old), expires_at=expires_at, rotated_from=old.key_id)
    successor = await credentials.create(connection, new)
    await _publish(transaction, successor)
    await _note(transaction, "create", after=successor)
    retired = await _retire(transaction, old, now, timedelta(seconds=asked.overlap_seconds))
    await _note(transaction, "rotate", before=old, after=retired)
    return _shown_once(transaction, key, successor)


@router.delete("/{key_id}")
@takes("admin")
async def revoke_key(key_id: str, transaction: Changing) -> KeyView:
    """Revoke a key: it is refused from then on, here at once, by gateways as soon as they hear of it."""
    before = await _seen(transaction, key_id)
    if before.revoked_at is not None:
        return KeyView.of(before)
    after = await credentials.revoke(transaction.connection, key_id)
    await _publish(transaction, after)
    await _note(transaction, "revoke", before=before, after=after)
    return KeyView.of(after)


def _generated(**fields: Any) -> tuple[str, NewCredential]:
    """Return a new key, and what is stored of it."""
    key = PREFIX + secrets.token_urlsafe(32)
    new = NewCredential(key_id=f"key_{secrets.token_hex(6)}", key_hash=hash_key(key.encode()), **fields)
    return key, new


def _inherited(old: Credential) -> dict[str, Any]:
    names = ("label", "role", "team_key", "routes", "scopes", "limits")
    return {name: getattr(old, name) for name in names}


def _changed(before: Credential, body: ChangedKey) -> Credential:
    """Return the key with those fields changed that were sent."""
    asked: dict[str, Any] = {
        "label": body.label,
        "team_key": body.team,
        "routes": None if body.routes is None else tuple(body.routes),
        "scopes": tuple(body.scopes),
        "limits": changed_limits(before.limits, body.limits),
        "expires_at": body.expires_at,
    }
    sent = {"team_key" if name == "team" else name for name in body.model_fields_set}
    return replace(before, **{name: value for name, value in asked.items() if name in sent})


async def _retire(transaction: Transaction, old: Credential, now: datetime, overlap: timedelta) -> Credential:
    """Let a key expire after the overlap, unless it does sooner; without one, revoke it now."""
    connection = transaction.connection
    if overlap:
        ends = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
        retired = await credentials.update(connection, replace(old, expires_at=ends))
    else:
        retired = await credentials.revoke(connection, old.key_id)
    await _publish(transaction, retired)
    return retired


def _shown_once(transaction: Transaction, key: str, credential: Credential) -> NewKeyView:
    transaction.kept_as["key"] = None
    return NewKeyView(key=key, **KeyView.of(credential).model_dump())


async def _seen(transaction: Transaction, key_id: str) -> Credential:
    """Return the key, held, where it is as the caller has seen it."""
    credential = await credentials.get(transaction.connection, key_id, lock=True)
    transaction.check_seen(KeyView.of(credential))
    return credential


async def _publish(transaction: Transaction, credential: Credential) -> None:
    """Tell the gateways of a client's key. Other keys are none of theirs."""
    if credential.role == "client":
        version = await configuration.next_version(transaction.connection)
        await publish(transaction.connection, credential.config(version))


async def _note(
    transaction: Transaction,
    action: str,
    *,
    after: Credential,
    before: Credential | None = None,
) -> None:
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action=action,
        subject=f"key/{after.key_id}",
        before=None if before is None else _plain(before),
        after=_plain(after),
    )


def _plain(credential: Credential) -> dict[str, Any]:
    return KeyView.of(credential).model_dump(exclude=set(KeyView.volatile))
