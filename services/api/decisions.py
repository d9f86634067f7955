"""``/v1/decisions``: what was decided, by whom, on which evidence, and what came of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from services.api.common import PROBLEMS, Database
from services.api.paging import Paged
from services.api.transactions import Route
from services.api.views import DecisionView, Items
from services.domain.decision import DecisionState
from services.domain.errors import NotFound
from services.domain.events import DecisionAction
from services.storage import decisions, experiments

router = APIRouter(prefix="/v1/decisions", tags=["decisions"], responses=PROBLEMS, route_class=Route)


@router.get("")
async def list_all_decisions(
    database: Database,
    paging: Paged,
    experiment: str | None = None,
    action: DecisionAction | None = None,
    state: DecisionState | None = None,
) -> Items[DecisionView]:
    """List decisions, newest first, of one experiment, action or state or of all."""
    page = paging.page(tuple[datetime, UUID])
    async with database.connect() as connection:
        one = None if experiment is None else (await experiments.get(connection, experiment)).experiment_id
        found = await decisions.page(connection, page, experiment_id=one, action=action, state=state)
    return paging.items(found, DecisionView.of)


@router.get("/{decision_id}")
async def show_decision(decision_id: UUID, database: Database) -> DecisionView:
    """Show a decision, with its evidence and what came of it."""
    async with database.connect() as connection:
        found = await decisions.get(connection, decision_id)
    if found is None:
        raise NotFound(f"there is no decision {decision_id}; GET /v1/decisions lists them")
    return DecisionView.of(found)
