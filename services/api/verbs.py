"""``/v1/experiments/{key}/<verb>``: start, pause, resume, share, split, promote, rollback, stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api import ab_tests, canaries
from services.api.ab_test_bodies import SplitBody
from services.api.changes import Change, changing, decide
from services.api.common import PROBLEMS, Database
from services.api.experiment_views import ExperimentView
from services.api.patterns import pattern_of
from services.api.schemas import PromoteBody, ShareBody, VerbBody
from services.api.views import DecisionView
from services.api.waiting import view_experiment
from services.domain.lifecycle import Verb
from services.storage import experiments

router = APIRouter(prefix="/v1/experiments/{key}", tags=["experiments"], responses=PROBLEMS)


@router.post("/start")
async def start(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """Begin. A canary's treatment gets its first share, an A/B test its split. One of each kind per route."""
    return await _do(database, key, "start", body, lambda change: pattern_of(change).start(change))


@router.post("/pause")
async def pause(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """Let the control serve everything, and keep the evidence."""
    return await _do(database, key, "pause", body, lambda change: pattern_of(change).pause(change))


@router.post("/resume")
async def resume(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """Split the traffic again as it was before the pause."""
    return await _do(database, key, "resume", body, lambda change: pattern_of(change).resume(change))


@router.post("/share")
async def share(key: str, body: ShareBody, database: Database) -> ExperimentView:
    """Set the share of a canary's treatment by hand."""
    return await _do(database, key, "share", body, lambda change: canaries.set_share(change, body.share))


@router.post("/split")
async def split(key: str, body: SplitBody, database: Database) -> ExperimentView:
    """Give an A/B test other weights or another traffic share. This begins a new phase: what was counted so
    far stays readable, and new results start from nothing, since the units are other ones."""
    return await _do(database, key, "split", body, lambda change: ab_tests.split(change, body))


@router.post("/stop")
async def stop(key: str, database: Database, body: VerbBody | None = None) -> ExperimentView:
    """End the experiment as inconclusive; the control serves everything."""
    return await _do(database, key, "stop", body, lambda change: pattern_of(change).stop(change))


@router.post("/promote", status_code=202)
async def promote(key: str, database: Database, body: PromoteBody | None = None) -> DecisionView:
    """Decide by hand that a treatment becomes the stable variant. Routing applies the decision."""
    asked = body or PromoteBody()
    async with changing(database, key, "promote", asked.reason) as change:
        variant = pattern_of(change).to_promote(change, asked.variant)
        return DecisionView.of(await decide(change, "promote", variant))


@router.post("/rollback", status_code=202)
async def rollback(key: str, database: Database, body: VerbBody | None = None) -> DecisionView:
    """Decide by hand that the control serves everything again. Routing applies the decision."""
    async with changing(database, key, "rollback", _reason(body)) as change:
        return DecisionView.of(await decide(change, "rollback", None))


async def _do(
    engine: AsyncEngine,
    key: str,
    verb: Verb,
    body: VerbBody | None,
    do: Callable[[Change], Awaitable[None]],
) -> ExperimentView:
    async with changing(engine, key, verb, _reason(body)) as change:
        await do(change)
        return await view_experiment(change.connection, await experiments.get(change.connection, key))


def _reason(body: VerbBody | None) -> str:
    return (body or VerbBody()).reason
