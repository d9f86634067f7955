"""What must hold of a key before it is created, changed or rotated."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import Conflict, InvalidDefinition
from services.storage import routes, teams
from services.storage.credentials import Credential, NewCredential

LONGEST_LIFE = timedelta(days=100 * 365)


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raise InvalidDefinition where a key would begin as expired."""
    if expires_at is None:
        return
    if expires_at <= now:
        raise InvalidDefinition("expires_at", "must lie in the future; to end a key now, revoke it")
    if expires_at > now + LONGEST_LIFE:
        raise InvalidDefinition("expires_at", "must lie within 100 years; null is never")


def check_usable(key: Credential) -> None:
    """Raise Conflict where a key is revoked or expired, which is for good."""
    if not key.is_usable:
        raise Conflict(f"key {key.key_id!r} is {key.state}, and stays so; create another with POST /v1/keys")


def check_rotation(old: Credential, last: Credential | None) -> None:
    """Raise Conflict where a key cannot be rotated: it is over, or ``last``, its newest successor, is not."""
    check_usable(old)
    if last is not None and last.is_usable:
        raise Conflict(
            f"key {old.key_id!r} was rotated already, to {last.key_id!r}; rotate that one, or revoke it "
            "first if nobody has it"
        )


def same_lifetime(key: Credential, now: datetime) -> datetime | None:
    """Return when a key that is made now expires, to live as long as another was given to."""
    return None if key.expires_at is None else now + (key.expires_at - key.created_at)


async def check_references(
    connection: AsyncConnection, key: NewCredential, before: NewCredential | None = None
) -> None:
    """Raise InvalidDefinition for what a key of its role cannot have, and for what is not there.

    ``before`` is the key as it was: what it had already is not looked up again.
    """
    if key.role != "client":
        for field in ("routes", "scopes", "limits"):
            if getattr(key, field):
                raise InvalidDefinition(field, "is for keys of the role client; others are not for gateways")
    if before is None or key.team_key != before.team_key:
        await _check_team(connection, key.team_key)
    if before is None or key.routes != before.routes:
        await _check_routes(connection, key.routes or ())


async def _check_team(connection: AsyncConnection, team_key: str | None) -> None:
    if team_key is not None and not await teams.hold(connection, team_key):
        raise InvalidDefinition("team", f"there is no team {team_key!r}; create it first")


async def _check_routes(connection: AsyncConnection, route_keys: tuple[str, ...]) -> None:
    known = {route.key for route in await routes.listing(connection)} if route_keys else set()
    for i, key in enumerate(route_keys):
        if key not in known:
            raise InvalidDefinition(f"routes[{i}]", f"there is no route {key!r}; create it first")
