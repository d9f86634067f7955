"""What an experiment is waiting for, in a sentence and as data."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import blue_green_outlook, shadow_outlook
from services.api.experiment_views import ExperimentView, WaitingFor
from services.domain.decision import Decision
from services.domain.experiment import Experiment
from services.domain.shadow import ShadowDefinition
from services.storage import audit, decisions, evaluations, freezes, health_checks, routes
from services.storage.audit import Noted
from services.storage.evaluations import StoredEvaluation


async def view_experiment(connection: AsyncConnection, experiment: Experiment) -> ExperimentView:
    """Return an experiment as callers see it."""
    route = await routes.get(connection, experiment.route_key)
    awaited = await waiting_for(connection, experiment)
    concluded_by = await _concluded_by(connection, experiment)
    frozen = await freezes.of_route(connection, experiment.route_key)
    return ExperimentView.of(experiment, route.allocation, awaited, concluded_by, frozen)


async def _concluded_by(connection: AsyncConnection, experiment: Experiment) -> Decision | Noted | None:
    """Return the decision that ended the experiment, or who stopped it without one, which the audit knows."""
    if experiment.conclusion == "inconclusive":
        return await audit.newest(connection, f"experiment/{experiment.key}", "stop")
    if experiment.conclusion not in ("promoted", "rolled_back"):
        return None
    ending = "promote" if experiment.conclusion == "promoted" else "rollback"
    return next(
        (
            decision
            for decision in await decisions.of_experiment(connection, experiment.experiment_id)
            if decision.action == ending and decision.state == "applied"
        ),
        None,
    )


async def waiting_for(connection: AsyncConnection, experiment: Experiment) -> WaitingFor | None:
    """Return what the experiment is waiting for; None once it is stopped."""
    match experiment.status:
        case "stopped":
            return None
        case "draft":
            verb = f"POST /v1/experiments/{experiment.key}/start"
            return WaitingFor(rule="draft", sentence=f"not started yet; {verb} starts it")
        case "paused" | "running" if isinstance(experiment.definition, ShadowDefinition):
            return shadow_outlook.waiting(experiment, experiment.definition, datetime.now(UTC))
        case "paused" | "running":
            return await _waiting_for_decision(connection, experiment)


async def _waiting_for_decision(connection: AsyncConnection, experiment: Experiment) -> WaitingFor:
    for decision in await decisions.of_experiment(connection, experiment.experiment_id):
        if decision.state == "recorded":
            sentence = f"{decision.action} is decided and about to be applied: {decision.reason}"
            return WaitingFor(rule=decision.rule, sentence=sentence)
    if experiment.stage == "deployed":
        run = await health_checks.newest(connection, experiment.experiment_id, experiment.treatments[0])
        return blue_green_outlook.waiting(experiment, run)
    newest = await evaluations.newest(connection, experiment.experiment_id)
    if experiment.status == "paused":
        waiting = _evaluated(newest) if newest else WaitingFor(rule="paused", sentence="")
        return waiting.model_copy(
            update={
                "rule": "paused",
                "sentence": "paused: the control serves everything and the evidence is kept; resume it, or "
                "promote or roll back by hand",
            }
        )
    if newest is None or newest.phase != experiment.phase:
        return WaitingFor(rule="not_evaluated_yet", sentence="the workers have not evaluated it yet")
    return _evaluated(newest)


def _evaluated(newest: StoredEvaluation) -> WaitingFor:
    judgement = newest.body.get("judgement", {})
    return WaitingFor(
        sentence=newest.sentence,
        rule=newest.rule,
        have=judgement.get("have"),
        need=judgement.get("need"),
        verdicts=newest.body.get("verdicts", []),
        evaluation=newest.body,
        evaluated_at=newest.evaluated_at,
    )
