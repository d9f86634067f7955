"""``/v1/audit``: every change, by whom, what was before and what is after."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from services.api.common import PROBLEMS, Database
from services.api.paging import Paged
from services.api.transactions import Route
from services.api.views import AuditView, Items
from services.storage import audit
from services.storage.audit import Sought

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=PROBLEMS, route_class=Route)


@router.get("")
async def list_changes(
    database: Database,
    paging: Paged,
    subject: Annotated[str | None, Query(description="`kind/key`, such as `experiment/canary`")] = None,
    actor: Annotated[str | None, Query(description="Who did it; `policy` for what went by itself")] = None,
    action: Annotated[str | None, Query(description="Such as `create`, `replace`, `start`")] = None,
    since: Annotated[AwareDatetime | None, Query(description="From this time on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this time")] = None,
) -> Items[AuditView]:
    """List changes, newest first."""
    sought = Sought(subject, actor, action, since, until)
    async with database.connect() as connection:
        found = await audit.page(connection, paging.page(tuple[int]), sought)
    return paging.items(found, lambda row: AuditView(**row))
