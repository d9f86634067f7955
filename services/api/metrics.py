"""``/v1/metrics``: what can be measured. Built-in metrics are in every installation and stay as they are."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.common import ADMIN, PROBLEMS, Database
from services.api.metric_bodies import MetricBody, MetricView, NewMetric
from services.api.views import Items
from services.domain.errors import Conflict
from services.domain.metric import BUILT_IN
from services.storage import audit, metrics

router = APIRouter(prefix="/v1/metrics", tags=["metrics"], responses=PROBLEMS)


@router.post("", status_code=201)
async def create_metric(body: NewMetric, database: Database) -> MetricView:
    """Define a metric, for A/B tests that are created from now on."""
    _check_free(body.key)
    view = MetricView.of(body.metric(body.key))
    async with database.begin() as connection:
        await metrics.create(connection, body.metric(body.key))
        await audit.record(
            connection,
            actor=ADMIN,
            action="create",
            subject=f"metric/{body.key}",
            after=view.model_dump(),
        )
    return view


@router.get("")
async def list_metrics(database: Database) -> Items[MetricView]:
    """List the metrics: the built-in ones first, then those of this installation."""
    async with database.connect() as connection:
        own = await metrics.listing(connection)
    return Items(items=[MetricView.of(metric) for metric in (*BUILT_IN.values(), *own)])


@router.get("/{key}")
async def show_metric(key: str, database: Database) -> MetricView:
    """Show a metric."""
    if key in BUILT_IN:
        return MetricView.of(BUILT_IN[key])
    async with database.connect() as connection:
        return MetricView.of(await metrics.get(connection, key))


@router.put("/{key}")
async def replace_metric(key: str, body: MetricBody, database: Database) -> MetricView:
    """Replace a metric's definition. A test that exists keeps the definition it was created with."""
    _check_free(key)
    after = body.metric(key)
    async with database.begin() as connection:
        before = await metrics.get(connection, key, lock=True)
        await metrics.update(connection, after)
        await audit.record(
            connection,
            actor=ADMIN,
            action="replace",
            subject=f"metric/{key}",
            before=MetricView.of(before).model_dump(),
            after=MetricView.of(after).model_dump(),
        )
    return MetricView.of(after)


@router.delete("/{key}")
async def delete_metric(key: str, database: Database) -> MetricView:
    """Delete a metric, and return what it was. A test that exists keeps its definition."""
    _check_free(key)
    async with database.begin() as connection:
        view = MetricView.of(await metrics.get(connection, key, lock=True))
        await metrics.delete(connection, key)
        await audit.record(
            connection, actor=ADMIN, action="delete", subject=f"metric/{key}", before=view.model_dump()
        )
    return view


def _check_free(key: str) -> None:
    if key in BUILT_IN:
        raise Conflict(f"{key!r} is a built-in metric and stays as it is; define one under another key")
