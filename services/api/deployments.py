"""Deploying, checking and switching: the verbs of a blue-green deployment that ask the deployed variant.

Checks take seconds and their requests go through gateways, which must have learnt of the deployment. So what
is deployed, and what a check found, is written in transactions of their own, before the request's
transaction ends; nothing is locked while checks run.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api import blue_greens
from services.api.changes import changing
from services.api.common import engine_of
from services.api.experiment_views import ExperimentView
from services.api.health_checker import HealthChecker
from services.api.transactions import Transaction
from services.api.waiting import view_experiment
from services.domain.allocation import Allocation
from services.domain.errors import Conflict
from services.domain.experiment import Experiment, Stage
from services.domain.health_check import HealthRun, Occasion
from services.domain.lifecycle import check_verb
from services.storage import audit, experiments, health_checks, routes
from services.storage.session import allow_idle

_GRACE_SECONDS = 30.0
"""What a run may take beyond the time that its checks have, before its transaction is given up."""


@dataclass(frozen=True, slots=True)
class Deployments:
    """What the verbs work with."""

    engine: AsyncEngine
    checker: HealthChecker

    async def start(self, transaction: Transaction, key: str, reason: str) -> ExperimentView:
        """Deploy to the idle slot and check what was deployed."""
        self.checker.check_ready()
        async with self._apart(transaction) as own:
            change = await changing(own, key, "start", reason)
            await blue_greens.start(change)
        deployed = await experiments.get(transaction.connection, key)
        await self._checked(transaction, deployed, "start")
        return await _view(transaction.connection, key)

    async def check(self, transaction: Transaction, key: str) -> HealthRun:
        """Run the checks of the idle slot's variant now, and keep what they found."""
        experiment = await self._seen(transaction, key)
        check_verb("health", experiment)
        return await self._checked(transaction, experiment, "by_hand")

    async def switch(self, transaction: Transaction, key: str, reason: str) -> ExperimentView:
        """Check once more, and switch to what is deployed. Raises Conflict where it is not healthy."""
        experiment = await self._seen(transaction, key)
        check_verb("switch", experiment)
        treatment = experiment.blue_green.treatment
        before = await health_checks.newest(transaction.connection, experiment.experiment_id, treatment)
        if before is None or not before.passed:
            raise Conflict(_unhealthy(experiment, before))
        now = await self._checked(transaction, experiment, "switch")
        if not now.passed:
            raise Conflict(_unhealthy(experiment, now))
        change = await changing(transaction, key, "switch", reason)
        await blue_greens.switch(change)
        return await _view(transaction.connection, key)

    async def check_way_back(
        self, transaction: Transaction, key: str, reason: str, *, override: bool
    ) -> Stage:
        """Raise Conflict where a rollback would give everybody to a variant that is not healthy.

        With ``override`` nothing is checked, and that is noted in the audit. Before the switch nobody is
        moved by a rollback, so there is nothing to check. Returns the stage that this was found at.
        """
        experiment = await self._seen(transaction, key)
        check_verb("rollback", experiment)
        if experiment.stage != "watch":
            return experiment.stage
        if override:
            await _note_override(transaction, experiment, reason)
            return experiment.stage
        run = await self._checked(transaction, experiment, "rollback")
        if not run.passed:
            raise Conflict(
                f"cannot rollback {key!r}: variant {run.variant!r} in slot {run.slot}, which would serve "
                f'everybody, is not healthy: {run.sentence}; mend it, or send {{"override": true}}'
            )
        return experiment.stage

    async def _seen(self, transaction: Transaction, key: str) -> Experiment:
        """Return the experiment, where it is as the caller has seen it: before real requests are sent."""
        experiment = await experiments.get(transaction.connection, key)
        if transaction.if_match is not None:
            transaction.check_seen(await view_experiment(transaction.connection, experiment))
        return experiment

    async def _checked(
        self, transaction: Transaction, experiment: Experiment, occasion: Occasion
    ) -> HealthRun:
        """Run the checks and keep what they found, whatever the request comes to."""
        allocation = (await routes.get(transaction.connection, experiment.route_key)).allocation
        within = experiment.blue_green.checks_within_seconds
        await allow_idle(transaction.connection, within + _GRACE_SECONDS)
        run = await self._run(experiment, allocation, occasion)
        async with self._apart(transaction) as own:
            await health_checks.record(own.connection, experiment.experiment_id, run)
        return run

    async def _run(self, experiment: Experiment, allocation: Allocation, occasion: Occasion) -> HealthRun:
        variant = allocation.idle_variant
        if variant is None or allocation.experiment_id != experiment.experiment_id:
            raise Conflict(f"nothing of {experiment.key!r} is deployed any more; see its route's allocation")
        definition, started = experiment.blue_green, time.monotonic()
        checks = await self.checker.run(
            definition.checks,
            route=experiment.route_key,
            variant=variant,
            allocation_version=allocation.version,
            within_seconds=definition.checks_within_seconds,
        )
        return HealthRun.of(
            checks,
            slot=allocation.idle_slot,
            variant=variant,
            allocation_version=allocation.version,
            occasion=occasion,
            seconds=time.monotonic() - started,
            checked_at=datetime.now(UTC),
        )

    @asynccontextmanager
    async def _apart(self, transaction: Transaction) -> AsyncIterator[Transaction]:
        """A transaction beside the request's: what is written in it stays, whatever the request comes to."""
        async with self.engine.begin() as connection:
            yield Transaction(connection, caller=transaction.caller, if_match=transaction.if_match)


def _deployments(request: Request) -> Deployments:
    return Deployments(engine_of(request), request.app.state.health_checker)


Deploying = Annotated[Deployments, Depends(_deployments)]


async def _view(connection: AsyncConnection, key: str) -> ExperimentView:
    return await view_experiment(connection, await experiments.get(connection, key))


def _unhealthy(experiment: Experiment, run: HealthRun | None) -> str:
    health = f"POST /v1/experiments/{experiment.key}/health"
    if run is None:
        treatment = experiment.blue_green.treatment
        return f"cannot switch {experiment.key!r}: {treatment!r} was never checked; {health}"
    return (
        f"cannot switch {experiment.key!r}: variant {run.variant!r} in slot {run.slot} is not healthy: "
        f"{run.sentence}; mend it and {health}, or /rollback takes it away"
    )


async def _note_override(transaction: Transaction, experiment: Experiment, reason: str) -> None:
    previous = experiment.control
    known = await health_checks.newest(transaction.connection, experiment.experiment_id, previous)
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action="override",
        subject=f"experiment/{experiment.key}",
        after={
            "verb": "rollback",
            "variant": previous,
            "health": "never checked" if known is None else known.sentence,
        },
        reason=reason,
    )
