"""``/v1/experiments/{key}/health`` and ``/switch``: checking what is deployed, and sending traffic to it."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import PROBLEMS, Database
from services.api.deployments import Deploying
from services.api.experiment_views import ExperimentView
from services.api.health_views import HealthView
from services.api.schemas import VerbBody
from services.api.transactions import Acting, Route
from services.domain.errors import NotFound
from services.domain.experiment import BlueGreenDefinition
from services.storage import experiments, health_checks, routes

router = APIRouter(
    prefix="/v1/experiments/{key}", tags=["experiments"], responses=PROBLEMS, route_class=Route
)


@router.get("/health")
async def show_health(key: str, database: Database) -> HealthView:
    """Show what the health checks of a blue-green deployment expected and what came, newest first."""
    async with database.connect() as connection:
        return await _health(connection, key)


@router.post("/health")
async def check_health(key: str, transaction: Acting, deployments: Deploying) -> HealthView:
    """Check the idle slot now: before the switch the new variant, after it the one to go back to. The answer
    comes when the checks are done. Real requests are sent through a gateway; they are in no statistics."""
    await deployments.check(transaction, key)
    return await _health(transaction.connection, key)


@router.post("/switch")
async def switch(
    key: str, transaction: Acting, deployments: Deploying, body: VerbBody | None = None
) -> ExperimentView:
    """Send everybody but the holdback to the deployed variant, in one version of the route's allocation.

    Refused unless its checks have passed; they are run once more at this moment. The old variant stays in the
    other slot, and the new one is watched against it."""
    return await deployments.switch(transaction, key, (body or VerbBody()).reason)


async def _health(connection: AsyncConnection, key: str) -> HealthView:
    experiment = await experiments.get(connection, key)
    if not isinstance(experiment.definition, BlueGreenDefinition):
        raise NotFound(f"{key!r} is an experiment of kind {experiment.kind}, which has no health checks")
    allocation = (await routes.get(connection, experiment.route_key)).allocation
    is_live = allocation.experiment_id == experiment.experiment_id
    slot, variant = (allocation.idle_slot, allocation.idle_variant) if is_live else (None, None)
    runs = await health_checks.of_experiment(connection, experiment.experiment_id)
    return HealthView.of(experiment, slot, variant, runs)
