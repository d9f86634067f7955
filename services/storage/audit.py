"""The audit: every change, by whom, what was before and what is after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import audit


async def record(
    connection: AsyncConnection,
    *,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Note a change in the transaction that makes it. ``subject`` is ``kind/key``."""
    values = {
        "actor": actor,
        "action": action,
        "subject": subject,
        "before": _json(before),
        "after": _json(after),
        "reason": reason,
    }
    await connection.execute(sa.insert(audit).values(**values))


def _json(state: Mapping[str, Any] | None) -> Any:
    return sa.null() if state is None else msgspec.to_builtins(dict(state))


async def listing(
    connection: AsyncConnection, *, subject: str | None = None, before_id: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return the newest changes first, of one subject or of all; ``before_id`` turns the page."""
    query = sa.select(audit).order_by(audit.c.audit_id.desc()).limit(limit)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if before_id is not None:
        query = query.where(audit.c.audit_id < before_id)
    return [dict(row) for row in (await connection.execute(query)).mappings()]
