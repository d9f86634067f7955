"""``/v1/experiments/{key}/<verb>``: start, pause, resume, share, promote, rollback, stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api import changes
from services.api.common import PROBLEMS, Database
from services.api.schemas import ShareBody, VerbBody
from services.api.views import DecisionView, ExperimentView
from services.api.waiting import view_experiment
from services.domain.lifecycle import Verb
from services.storage import experiments

router = APIRouter(prefix="/v1/experiments/{key}", tags=["experiments"], responses=PROBLEMS)


@router.post("/start")
async def start(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """Give the treatment its first share. One canary at a time may run on a route."""
    return await _do(database, key, "start", body, changes.start)


@router.post("/pause")
async def pause(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """Set the treatment's weight to 0 and keep the evidence."""
    return await _do(database, key, "pause", body, changes.pause)


@router.post("/resume")
async def resume(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """Give the treatment the share it had before the pause."""
    return await _do(database, key, "resume", body, changes.resume)


@router.post("/share")
async def share(key: str, body: ShareBody, database: Database) -> ExperimentView:
    """Set the treatment's share by hand."""
    return await _do(database, key, "share", body, lambda change: changes.set_share(change, body.share))


@router.post("/stop")
async def stop(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """End the experiment as inconclusive; the control serves everything."""
    return await _do(database, key, "stop", body, changes.stop)


@router.post("/promote", status_code=202)
async def promote(key: str, database: Database, body: VerbBody | None = None) -> DecisionView:
    """Decide by hand that the treatment becomes the stable variant. Routing applies the decision."""
    async with changes.changing(database, key, "promote", _reason(body)) as change:
        return DecisionView.of(await changes.decide(change, "promote"))


@router.post("/rollback", status_code=202)
async def rollback(key: str, database: Database, body: VerbBody | None = None) -> DecisionView:
    """Decide by hand that the control serves everything again. Routing applies the decision."""
    async with changes.changing(database, key, "rollback", _reason(body)) as change:
        return DecisionView.of(await changes.decide(change, "rollback"))


async def _do(
    engine: AsyncEngine,
    key: str,
    verb: Verb,
    body: VerbBody | None,
    do: Callable[[changes.Change], Awaitable[None]],
) -> ExperimentView:
    async with changes.changing(engine, key, verb, _reason(body)) as change:
        await do(change)
        return await view_experiment(change.connection, await experiments.get(change.connection, key))


def _reason(body: VerbBody | None) -> str:
    return (body or VerbBody()).reason
