"""``/v1/experiments/{key}/<verb>``: start, pause, resume, share, split, approve, promote, rollback, stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from services.api import ab_tests, canaries
from services.api.ab_test_bodies import SplitBody
from services.api.blue_green_bodies import RollbackBody
from services.api.changes import Change, changing, decide
from services.api.common import PROBLEMS
from services.api.deployments import Deploying
from services.api.experiment_views import ExperimentView
from services.api.patterns import pattern_of
from services.api.schemas import PromoteBody, ShareBody, VerbBody
from services.api.transactions import Acting, Route, Transaction
from services.api.views import DecisionView
from services.api.waiting import view_experiment
from services.domain.errors import Conflict
from services.domain.experiment import Stage
from services.domain.lifecycle import Verb
from services.storage import experiments

router = APIRouter(
    prefix="/v1/experiments/{key}", tags=["experiments"], responses=PROBLEMS, route_class=Route
)


@router.post("/start")
async def start(
    key: str, transaction: Acting, deployments: Deploying, body: VerbBody | None = None
) -> ExperimentView:
    """Begin. A canary's treatment gets its first share, an A/B test its split. One of each kind per route.

    A blue-green deployment goes to the idle slot and is checked; `waiting_for` says what came of it."""
    if (await experiments.get(transaction.connection, key)).kind == "blue_green":
        return await deployments.start(transaction, key, _reason(body))
    return await _do(transaction, key, "start", body, lambda change: pattern_of(change).start(change))


@router.post("/pause")
async def pause(key: str, transaction: Acting, body: VerbBody | None = None) -> ExperimentView:
    """Let the control serve everything, and keep the evidence."""
    return await _do(transaction, key, "pause", body, lambda change: pattern_of(change).pause(change))


@router.post("/resume")
async def resume(key: str, transaction: Acting, body: VerbBody | None = None) -> ExperimentView:
    """Split the traffic again as it was before the pause."""
    return await _do(transaction, key, "resume", body, lambda change: pattern_of(change).resume(change))


@router.post("/share")
async def share(key: str, body: ShareBody, transaction: Acting) -> ExperimentView:
    """Set the share of a canary's treatment by hand."""
    return await _do(transaction, key, "share", body, lambda change: canaries.set_share(change, body.share))


@router.post("/split")
async def split(key: str, body: SplitBody, transaction: Acting) -> ExperimentView:
    """Give an A/B test other weights or another traffic share. This begins a new phase: what was counted so
    far stays readable, and new results start from nothing, since the units are other ones."""
    return await _do(transaction, key, "split", body, lambda change: ab_tests.split(change, body))


@router.post("/approve")
async def approve(key: str, transaction: Acting, body: VerbBody | None = None) -> ExperimentView:
    """Agree to what a canary's plan wants a person to agree to next. It goes on once its evidence allows."""
    return await _do(transaction, key, "approve", body, canaries.approve)


@router.post("/stop")
async def stop(key: str, transaction: Acting, body: VerbBody | None = None) -> ExperimentView:
    """End the experiment as inconclusive; the control serves everything."""
    return await _do(transaction, key, "stop", body, lambda change: pattern_of(change).stop(change))


@router.post("/promote", status_code=202)
async def promote(key: str, transaction: Acting, body: PromoteBody | None = None) -> DecisionView:
    """Decide by hand that a treatment becomes the stable variant. Routing applies the decision.

    A canary's is watched first, against the holdback of its plan; asked again during the watch, or with
    `"holdback": false`, it is promoted for good."""
    asked = body or PromoteBody()
    change = await changing(transaction, key, "promote", asked.reason)
    variant = pattern_of(change).to_promote(change, asked.variant)
    watched = asked.holdback and change.experiment.stage != "watch"
    share_bp = change.experiment.watch.promoted_share_bp if watched else None
    return DecisionView.of(await decide(change, "promote", variant, next_share_bp=share_bp))


@router.post("/rollback", status_code=202)
async def rollback(
    key: str, transaction: Acting, deployments: Deploying, body: RollbackBody | None = None
) -> DecisionView:
    """Decide by hand that the control serves everything again. Routing applies the decision.

    After the switch of a blue-green deployment the previous slot is checked first; where it is not healthy,
    it takes `"override": true` to go back, which goes back unchecked."""
    asked = body or RollbackBody()
    checked_at: Stage | None = None
    if (await experiments.get(transaction.connection, key)).kind == "blue_green":
        checked_at = await deployments.check_way_back(transaction, key, asked.reason, override=asked.override)
    change = await changing(transaction, key, "rollback", asked.reason)
    if checked_at not in (None, change.experiment.stage):
        raise Conflict(f"{key!r} was switched to in the meantime; look at it and try again")
    return DecisionView.of(await decide(change, "rollback"))


async def _do(
    transaction: Transaction,
    key: str,
    verb: Verb,
    body: VerbBody | None,
    do: Callable[[Change], Awaitable[None]],
) -> ExperimentView:
    change = await changing(transaction, key, verb, _reason(body))
    await do(change)
    return await view_experiment(change.connection, await experiments.get(change.connection, key))


def _reason(body: VerbBody | None) -> str:
    return (body or VerbBody()).reason
