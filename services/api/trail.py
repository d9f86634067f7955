"""``/v1/audit``: every change, by whom, what was before and what is after."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.common import PROBLEMS, Database
from services.api.views import AuditView, Items
from services.storage import audit

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=PROBLEMS)


@router.get("")
async def list_changes(
    database: Database,
    subject: str | None = None,
    before: Annotated[int | None, Query(description="Only changes older than this audit_id")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Items[AuditView]:
    """List changes, newest first. ``subject`` is ``kind/key``, such as ``experiment/chat-new-model``."""
    async with database.connect() as connection:
        rows = await audit.listing(connection, subject=subject, before_id=before, limit=limit)
    return Items(items=[AuditView(**row) for row in rows])
