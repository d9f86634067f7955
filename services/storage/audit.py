"""The audit: every change, by whom, what was before and what is after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.paging import Listed, Page, listed
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


@dataclass(frozen=True, slots=True)
class Noted:
    """Who did something, and the reason that was given."""

    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Sought:
    """Which changes are sought: all that fulfil what is not None. ``since`` is included, ``until`` is not."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def newest(connection: AsyncConnection, subject: str, action: str) -> Noted | None:
    """Return who did this to the subject last, and why; None where nobody did."""
    query = (
        sa.select(audit.c.actor, audit.c.reason)
        .where(audit.c.subject == subject, audit.c.action == action)
        .order_by(audit.c.audit_id.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Noted(row.actor, row.reason)


async def page(connection: AsyncConnection, asked: Page, sought: Sought = Sought()) -> Listed[dict[str, Any]]:
    """Return a page of the changes that are sought, newest first."""
    query = sa.select(audit)
    for column in (audit.c.subject, audit.c.actor, audit.c.action):
        wanted = getattr(sought, column.name)
        if wanted is not None:
            query = query.where(column == wanted)
    if sought.since is not None:
        query = query.where(audit.c.at >= sought.since)
    if sought.until is not None:
        query = query.where(audit.c.at < sought.until)
    return await listed(
        connection,
        query,
        asked,
        lambda row: dict(row._mapping),  # noqa: SLF001 - SQLAlchemy's public way to a row's columns
        audit.c.audit_id,
        newest_first=True,
    )
