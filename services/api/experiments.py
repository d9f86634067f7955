"""``/v1/experiments``: drafting experiments, and reading where they stand."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter

from services.api.common import PROBLEMS, Database
from services.api.drafting import drafted, redrafted
from services.api.experiment_bodies import NewExperiment
from services.api.experiment_views import ExperimentView
from services.api.paging import Paged
from services.api.transactions import Changing, Creating, Route, Transaction
from services.api.views import DecisionView, Items
from services.api.waiting import view_experiment
from services.domain.experiment import Experiment, ExperimentKind, ExperimentStatus
from services.domain.lifecycle import check_draft
from services.storage import audit, configuration, decisions, experiments, routes

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


@router.put("/{key}")
async def replace_experiment(key: str, body: NewExperiment, transaction: Changing) -> ExperimentView:
    """Replace a draft's definition. Its key, route and kind stay; once it is started, everything does."""
    connection = transaction.connection
    draft = await _draft(transaction, key, "replace")
    experiment = await redrafted(connection, draft, body)
    await experiments.redefine(connection, experiment)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="replace",
        subject=f"experiment/{key}",
        before=_plain(draft),
        after=_plain(experiment),
    )
    return await view_experiment(connection, experiment)


@router.delete("/{key}")
async def delete_experiment(key: str, transaction: Changing) -> ExperimentView:
    """Delete a draft, and return what it was. Its key may be used again. What was started stays on record."""
    connection = transaction.connection
    draft = await _draft(transaction, key, "delete")
    view = await view_experiment(connection, draft)
    await experiments.delete(connection, draft.experiment_id)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="delete",
        subject=f"experiment/{key}",
        before=_plain(draft),
    )
    return view


@router.get("/{key}/decisions")
async def list_decisions(key: str, database: Database, paging: Paged) -> Items[DecisionView]:
    """List what was decided about an experiment, newest first, with the evidence."""
    async with database.connect() as connection:
        experiment = await experiments.get(connection, key)
        page = paging.page(tuple[datetime, UUID])
        found = await decisions.page(connection, page, experiment_id=experiment.experiment_id)
    return paging.items(found, DecisionView.of)


async def _draft(transaction: Transaction, key: str, what: str) -> Experiment:
    """Return the draft as the caller has seen it, with its route held: nobody starts it meanwhile."""
    connection = transaction.connection
    await configuration.hold_variants(connection)
    found = await experiments.get(connection, key)
    await routes.get(connection, found.route_key, lock=True)
    # Read again: whoever held the route before us may have started or deleted it.
    draft = await experiments.get(connection, key)
    if transaction.if_match is not None:
        transaction.check_seen(await view_experiment(connection, draft))
    check_draft(what, draft)
    return draft


def _plain(experiment: Experiment) -> dict[str, Any]:
    return {
        "kind": experiment.kind,
        "route": experiment.route_key,
        "definition": msgspec.to_builtins(experiment.definition),
    }
