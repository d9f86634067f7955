"""``/v1/experiments``: drafting experiments, and reading where they stand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.common import ADMIN, PROBLEMS, Database
from services.api.drafting import drafted
from services.api.experiment_bodies import NewExperiment
from services.api.experiment_views import ExperimentView
from services.api.views import DecisionView, Items
from services.api.waiting import view_experiment
from services.domain.experiment import ExperimentStatus
from services.storage import audit, decisions, experiments

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], responses=PROBLEMS)


@router.post("", status_code=201)
async def create_experiment(body: NewExperiment, database: Database) -> ExperimentView:
    """Draft a canary or an A/B test. Nothing happens to traffic before it is started."""
    async with database.begin() as connection:
        experiment = await drafted(connection, body)
        await experiments.create(connection, experiment)
        await audit.record(
            connection,
            actor=ADMIN,
            action="create",
            subject=f"experiment/{experiment.key}",
            after=body.model_dump(),
        )
        return await view_experiment(connection, experiment)


@router.get("")
async def list_experiments(
    database: Database,
    route: str | None = None,
    status: ExperimentStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Items[ExperimentView]:
    """List experiments, newest first, of one route or status or of all."""
    async with database.connect() as connection:
        found = await experiments.listing(connection, route_key=route, status=status, limit=limit)
        return Items(items=[await view_experiment(connection, one) for one in found])


@router.get("/{key}")
async def show_experiment(key: str, database: Database) -> ExperimentView:
    """Show an experiment: its status, its share of the traffic, and what it is waiting for."""
    async with database.connect() as connection:
        return await view_experiment(connection, await experiments.get(connection, key))


@router.get("/{key}/decisions")
async def list_decisions(key: str, database: Database) -> Items[DecisionView]:
    """List what was decided about an experiment, newest first, with the evidence."""
    async with database.connect() as connection:
        experiment = await experiments.get(connection, key)
        found = await decisions.of_experiment(connection, experiment.experiment_id)
    return Items(items=[DecisionView.of(one) for one in found])
