"""``/v1/metrics``: what can be measured. Built-in metrics are in every installation and stay as they are."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.common import PROBLEMS, Database
from services.api.metric_bodies import MetricBody, MetricView, NewMetric
from services.api.paging import Paged, Prefix
from services.api.transactions import Changing, Creating, Route, Transaction
from services.api.views import Items
from services.domain.errors import Conflict
from services.domain.metric import BUILT_IN, Metric
from services.storage import audit, metrics
from services.storage.paging import Listed, Page

router = APIRouter(prefix="/v1/metrics", tags=["metrics"], responses=PROBLEMS, route_class=Route)


@router.post("", status_code=201)
async def create_metric(body: NewMetric, transaction: Creating) -> MetricView:
    """Define a metric, for A/B tests that are created from now on."""
    _check_free(body.key)
    view = MetricView.of(body.metric(body.key))
    await metrics.create(transaction.connection, body.metric(body.key))
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action="create",
        subject=f"metric/{body.key}",
        after=view.model_dump(),
    )
    return view


@router.get("")
async def list_metrics(database: Database, paging: Paged, q: Prefix = None) -> Items[MetricView]:
    """List the metrics: the built-in ones first, then those of this installation."""
    async with database.connect() as connection:
        own = await metrics.listing(connection)
    found = [metric for metric in (*BUILT_IN.values(), *own) if metric.key.startswith(q or "")]
    return paging.items(_page(found, paging.page(tuple[int, str])), MetricView.of)


@router.get("/{key}")
async def show_metric(key: str, database: Database) -> MetricView:
    """Show a metric."""
    if key in BUILT_IN:
        return MetricView.of(BUILT_IN[key])
    async with database.connect() as connection:
        return MetricView.of(await metrics.get(connection, key))


@router.put("/{key}")
async def replace_metric(key: str, body: MetricBody, transaction: Changing) -> MetricView:
    """Replace a metric's definition. A test that exists keeps the definition it was created with."""
    body.check_key(key)
    _check_free(key)
    after = body.metric(key)
    before = await _seen(transaction, key)
    await metrics.update(transaction.connection, after)
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action="replace",
        subject=f"metric/{key}",
        before=before.model_dump(),
        after=MetricView.of(after).model_dump(),
    )
    return MetricView.of(after)


@router.delete("/{key}")
async def delete_metric(key: str, transaction: Changing) -> MetricView:
    """Delete a metric, and return what it was. A test that exists keeps its definition."""
    _check_free(key)
    view = await _seen(transaction, key)
    await metrics.delete(transaction.connection, key)
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action="delete",
        subject=f"metric/{key}",
        before=view.model_dump(),
    )
    return view


async def _seen(transaction: Transaction, key: str) -> MetricView:
    """Return the metric, held, where it is as the caller has seen it."""
    view = MetricView.of(await metrics.get(transaction.connection, key, lock=True))
    transaction.check_seen(view)
    return view


def _page(found: list[Metric], asked: Page) -> Listed[Metric]:
    """Return a page of metrics, the built-in ones first."""
    places = {metric.key: place for place, metric in enumerate(BUILT_IN.values())}
    sorted_ = sorted(((places.get(metric.key, len(places)), metric.key), metric) for metric in found)
    rest = [(place, metric) for place, metric in sorted_ if asked.after is None or place > asked.after]
    shown = rest[: asked.limit]
    return Listed([metric for _, metric in shown], shown[-1][0] if len(rest) > len(shown) else None)


def _check_free(key: str) -> None:
    if key in BUILT_IN:
        raise Conflict(f"{key!r} is a built-in metric and stays as it is; define one under another key")
