"""``GET /v1/experiments/{key}/results``: what an experiment found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from services.api.common import PROBLEMS, Database
from services.api.result_views import ResultsView
from services.api.results_reading import Asked, read_results
from services.api.transactions import Route

router = APIRouter(prefix="/v1/experiments/{key}", tags=["results"], responses=PROBLEMS, route_class=Route)


@router.get("/results")
async def show_results(
    key: str,
    database: Database,
    phase: Annotated[int | None, Query(ge=1, description="The newest, when absent")] = None,
    segment: Annotated[str, Query(description="attribute=value; everything, when absent")] = "",
    at: Annotated[
        AwareDatetime | None, Query(description="What was seen at this time, such as 2026-11-20T12:00Z")
    ] = None,
) -> ResultsView:
    """Show what an experiment found: each variant's figures, how the treatments compare with the control and
    whether one may look already, and what it takes to decide. Results of the past are recorded each hour, at
    each decision, and at the end of a phase."""
    moment: datetime | None = at
    async with database.connect() as connection:
        return await read_results(connection, key, Asked(phase, segment, moment))
