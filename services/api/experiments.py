"""``/v1/experiments``: drafting experiments, and reading where they stand."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from services.api.common import PROBLEMS, Database
from services.api.drafting import drafted
from services.api.experiment_bodies import NewExperiment
from services.api.experiment_views import ExperimentView
from services.api.paging import Paged
from services.api.transactions import Creating, Route
from services.api.views import DecisionView, Items
from services.api.waiting import view_experiment
from services.domain.experiment import ExperimentKind, ExperimentStatus
from services.storage import audit, decisions, experiments

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], responses=PROBLEMS, route_class=Route)


@router.post("", status_code=201)
async def create_experiment(body: NewExperiment, transaction: Creating) -> ExperimentView:
    """Draft an experiment. Nothing happens to traffic before it is started."""
    connection = transaction.connection
    experiment = await drafted(connection, body)
    await experiments.create(connection, experiment)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="create",
        subject=f"experiment/{experiment.key}",
        after=body.model_dump(),
    )
    return await view_experiment(connection, experiment)


@router.get("")
async def list_experiments(
    database: Database,
    paging: Paged,
    route: str | None = None,
    kind: ExperimentKind | None = None,
    status: ExperimentStatus | None = None,
) -> Items[ExperimentView]:
    """List experiments, newest first, of one route, kind or status or of all."""
    page = paging.page(tuple[datetime, UUID])
    async with database.connect() as connection:
        found = await experiments.page(connection, page, route_key=route, kind=kind, status=status)
        views = {one.key: await view_experiment(connection, one) for one in found.items}
    return paging.items(found, lambda one: views[one.key])


@router.get("/{key}")
async def show_experiment(key: str, database: Database) -> ExperimentView:
    """Show an experiment: its status, its share of the traffic, and what it is waiting for."""
    async with database.connect() as connection:
        return await view_experiment(connection, await experiments.get(connection, key))


@router.get("/{key}/decisions")
async def list_decisions(key: str, database: Database, paging: Paged) -> Items[DecisionView]:
    """List what was decided about an experiment, newest first, with the evidence."""
    async with database.connect() as connection:
        experiment = await experiments.get(connection, key)
        page = paging.page(tuple[datetime, UUID])
        found = await decisions.page(connection, page, experiment_id=experiment.experiment_id)
    return paging.items(found, DecisionView.of)
