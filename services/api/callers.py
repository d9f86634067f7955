"""Who is asking: the holder of the admin key that the service was started with, or of a stored key.

Stored keys are looked up for every request, by their hash, so a revoked one is refused from that moment on.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.access import Role, hash_key
from services.domain.errors import InvalidDefinition, Unauthorized
from services.storage import credentials
from services.storage.credentials import Credential

ADMIN = "admin"
"""The actor of whatever is done with the admin key."""
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. ``actor`` is how the audit names them; ``key_id`` stays whatever the label becomes."""

    actor: str
    role: Role
    key_id: str

    @classmethod
    def of(cls, credential: Credential) -> Caller:
        """Return the holder of a stored key."""
        return cls(f"{credential.key_id} ({credential.label})", credential.role, credential.key_id)


THE_ADMIN = Caller(ADMIN, "admin", ADMIN)


class Callers:
    """Finds out who is asking. An empty ``admin_key`` is nobody's."""

    def __init__(self, admin_key: str, engine: AsyncEngine) -> None:
        self._admin_hash = hash_key(admin_key.encode()) if admin_key else ""
        self._engine = engine

    async def by_key(self, key: bytes) -> Caller:
        """Return whose key it is. Raises Unauthorized, which never repeats the key."""
        # Hashes of equal length: the comparison's time says nothing about the key.
        key_hash = hash_key(key)
        if hmac.compare_digest(key_hash, self._admin_hash):
            return THE_ADMIN
        credential = await self._find(key_hash)
        if credential is None or not hmac.compare_digest(credential.key_hash, key_hash):
            raise Unauthorized(
                "this key is not known here; send `Authorization: Bearer <key>` with a key of the role "
                "viewer, editor or admin, or with the admin key that HEADGATE_ADMIN_KEY holds"
            )
        if not credential.is_usable:
            how = "was revoked" if credential.revoked_at is not None else "has expired"
            raise Unauthorized(f"the key {credential.key_id} {how}; ask an admin for a new one")
        return Caller.of(credential)

    async def _find(self, key_hash: str) -> Credential | None:
        """Return the stored key, and note its use; the connection is given back at once."""
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            credential = await credentials.by_hash(connection, key_hash)
            if credential is not None and _is_used_anew(credential):
                await credentials.note_use(connection, credential.key_id)
        return credential


def _is_used_anew(credential: Credential) -> bool:
    """Say whether it is time to note a use of a key. Clients' keys are used, and noted, elsewhere."""
    if not credential.is_usable or credential.role == "client":
        return False
    last = credential.last_used_at
    return last is None or datetime.now(UTC) - last >= USE_NOTED_EVERY


async def check_somebody_may_come_in(admin_key: str, engine: AsyncEngine) -> None:
    """Raise InvalidDefinition where there is neither an admin key nor a stored key of the role admin."""
    if admin_key:
        return
    async with engine.connect() as connection:
        if await credentials.any_of_role(connection, "admin"):
            return
    raise InvalidDefinition(
        "HEADGATE_ADMIN_KEY",
        "is not set, and no key of the role admin can be used; set it to a long random string, as whoever "
        "has it controls all traffic; once there is a key of the role admin it may be left out",
    )
