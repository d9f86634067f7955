"""``POST /v1/experiments/dry-run``: what an experiment would do. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import blue_green_outlook, foretelling, planning, shadow_outlook
from services.api.changes import check_room
from services.api.common import PROBLEMS
from services.api.drafting import NewBody, drafted
from services.api.dry_run_views import Detectable, DryRun, Obstacle, TrafficSeen
from services.api.experiment_bodies import NewExperiment
from services.api.roles import takes
from services.api.transactions import Creating, Route
from services.domain.errors import Conflict, InvalidDefinition
from services.domain.experiment import Experiment
from services.storage import endpoints, experiments, route_traffic, variants
from services.storage.route_traffic import RouteTraffic

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], responses=PROBLEMS, route_class=Route)

LOOK_BACK_MINUTES = 24 * 60


@router.post("/dry-run")
@takes("viewer")
async def dry_run(body: NewExperiment, transaction: Creating) -> DryRun:
    """Say what the experiment would do, how soon it could find what on the traffic of the last 24 hours, and
    what is wrong with it. The body is the one that would create it; nothing is changed."""
    connection = transaction.connection
    try:
        experiment = await drafted(connection, body)
    except InvalidDefinition as error:
        obstacle = Obstacle(blocks="create", field=error.field, message=error.problem)
        return _nothing_to_foretell(obstacle)
    seen = await route_traffic.recent(connection, experiment.route_key, minutes=LOOK_BACK_MINUTES)
    obstacles = await _obstacles(connection, body, experiment)
    return _foretold(experiment, seen, obstacles, await _unpriced(connection, experiment))


async def _obstacles(connection: AsyncConnection, body: NewBody, experiment: Experiment) -> list[Obstacle]:
    found = []
    if await experiments.is_taken(connection, body.key):
        message = f"an experiment {body.key!r} exists already; choose another key"
        found.append(Obstacle(blocks="create", field="key", message=message))
    try:
        await check_room(connection, experiment)
    except Conflict as conflict:
        found.append(Obstacle(blocks="start", field=None, message=str(conflict)))
    return found


async def _unpriced(connection: AsyncConnection, experiment: Experiment) -> list[str]:
    """Return the variants of which no endpoint has prices."""
    priced = {one.key for one in await endpoints.listing(connection) if one.prices is not None}
    found = await variants.by_keys(connection, experiment.variant_keys)
    return [key for key in experiment.variant_keys if not priced.intersection(found[key].endpoint_keys)]


def _nothing_to_foretell(obstacle: Obstacle) -> DryRun:
    return DryRun(
        could_be_created=False,
        could_be_started=False,
        obstacles=[obstacle],
        warnings=[],
        it_would=[],
        traffic=None,
        detectable=[],
    )


def _foretold(
    experiment: Experiment, seen: RouteTraffic, obstacles: list[Obstacle], unpriced: list[str]
) -> DryRun:
    traffic = planning.Traffic.of(seen)
    would: Iterable[str]
    warnings: Iterable[str]
    detectable: Iterable[Detectable] = ()
    if experiment.kind == "canary":
        canary = experiment.canary
        would = foretelling.canary_would(canary, experiment.control)
        warnings = foretelling.canary_warnings(canary, traffic)
        detectable = planning.canary_plan(canary, traffic)
    elif experiment.kind == "shadow":
        would = shadow_outlook.would(experiment.shadow, experiment.control)
        warnings = shadow_outlook.warnings(experiment.shadow, traffic)
    elif experiment.kind == "blue_green":
        would = blue_green_outlook.would(experiment.blue_green, experiment.control)
        warnings = blue_green_outlook.warnings(experiment.blue_green, traffic)
    else:
        test = experiment.ab_test
        would = foretelling.ab_test_would(test)
        warnings = foretelling.ab_test_warnings(test, traffic, unpriced)
        detectable = planning.ab_test_plan(test, traffic, unpriced)
    return DryRun(
        could_be_created=all(obstacle.blocks != "create" for obstacle in obstacles),
        could_be_started=not obstacles,
        obstacles=obstacles,
        warnings=[*foretelling.traffic_warnings(seen), *warnings],
        it_would=list(would),
        traffic=_traffic_seen(seen),
        detectable=list(detectable),
    )


def _traffic_seen(seen: RouteTraffic) -> TrafficSeen:
    return TrafficSeen(
        hours=seen.minutes / 60,
        requests=seen.requests,
        requests_per_second=seen.requests_per_second,
        error_rate=seen.errors / seen.requests if seen.requests else None,
        latency_mean_seconds=seen.latency_us / seen.requests / 1e6 if seen.requests else None,
    )
