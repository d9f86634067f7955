"""Decisions about an A/B test, and what a canary beside it means for it."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.configuration import RouteConfig
from services.domain.experiment import Experiment
from services.routing.apply import apply_decision
from services.storage import audit, experiments, phases, routes
from services.storage.paging import Page
from services.storage.tables import allocations
from tests.integration.routing.test_apply import decision, outcome, published, recorded

VERSION = 3
"""The allocation's: the route was created, the canary started, then the test."""


async def applied(engine: AsyncEngine, experiment: Experiment, action: Any, **changes: Any) -> RouteConfig:
    one = await recorded(engine, decision(experiment, action, version=VERSION, **changes))
    assert await apply_decision(engine, one.decision_id) == "applied"
    return (await published(engine))[-1]


async def dropped(engine: AsyncEngine, experiment: Experiment, action: Any, **changes: Any) -> str:
    one = await recorded(engine, decision(experiment, action, version=VERSION, **changes))
    assert await apply_decision(engine, one.decision_id) == "dropped"
    return str((await outcome(engine, one)).state_reason)


async def without_canary(engine: AsyncEngine, canary: Experiment) -> None:
    """End the canary, and put the version back to what the decisions here are based on."""
    async with engine.begin() as connection:
        await experiments.conclude(connection, canary.experiment_id, "inconclusive")
        gone = {"experiment_id": None, "treatment": None, "treatment_share_bp": 0}
        await connection.execute(sa.update(allocations).where(allocations.c.version == VERSION).values(gone))


async def test_a_rollback_takes_the_test_off_the_route(engine: AsyncEngine, ab_test: Experiment) -> None:
    state = await applied(engine, ab_test, "rollback", variant_key="short")

    assert state.test is None
    assert state.experiment is not None, "the canary beside it goes on"
    assert (state.stable, set(state.variants)) == ("canary-old", {"canary-old", "canary-new"})
    async with engine.connect() as connection:
        stopped = await experiments.get(connection, "test")
        (phase,) = await phases.of_experiment(connection, ab_test.experiment_id)
    assert (stopped.status, stopped.conclusion) == ("stopped", "rolled_back")
    assert phase.ended_at == stopped.stopped_at


async def test_a_promotion_makes_the_named_treatment_stable(
    engine: AsyncEngine, canary: Experiment, ab_test: Experiment
) -> None:
    await without_canary(engine, canary)

    state = await applied(engine, ab_test, "promote", variant_key="long")

    assert (state.stable, state.test, set(state.variants)) == ("long", None, {"long"})
    async with engine.connect() as connection:
        assert (await experiments.get(connection, "test")).conclusion == "promoted"


@pytest.mark.parametrize(
    ("action", "variant", "because"),
    [
        ("promote", "long", "a canary runs on the route"),
        ("promote", "canary-new", "must be one of the test's"),
        ("promote", None, "must be one of the test's"),
        ("advance", None, "an A/B test has no steps"),
    ],
)
async def test_what_cannot_be_applied_is_dropped_and_says_so(
    engine: AsyncEngine, ab_test: Experiment, action: str, variant: str | None, because: str
) -> None:
    assert because in await dropped(engine, ab_test, action, variant_key=variant)
    assert await published(engine) == []


@pytest.mark.usefixtures("ab_test")
async def test_a_canarys_rollback_leaves_the_test_as_it_is(engine: AsyncEngine, canary: Experiment) -> None:
    state = await applied(engine, canary, "rollback")

    assert state.experiment is None
    assert state.test is not None
    assert (state.test.phase, state.test.variants) == (1, ("canary-old", "short", "long"))


async def test_a_promoted_canary_is_the_tests_new_control_in_a_new_phase(
    engine: AsyncEngine, canary: Experiment, ab_test: Experiment
) -> None:
    state = await applied(engine, canary, "promote")

    assert state.stable == "canary-new"
    assert state.test is not None
    assert (state.test.phase, state.test.variants) == (2, ("canary-new", "short", "long"))
    assert (state.test.traffic_bp, state.test.weights_bp) == (5_000, (5_000, 3_000, 2_000))
    assert set(state.variants) == {"canary-new", "short", "long"}
    async with engine.connect() as connection:
        test = await experiments.get(connection, "test")
        first, second = await phases.of_experiment(connection, ab_test.experiment_id)
        trail = (await audit.page(connection, Page(), audit.Sought(subject="experiment/test"))).items
        allocation = (await routes.get(connection, "chat")).allocation
    assert (test.status, test.phase, test.control) == ("running", 2, "canary-new")
    assert test.variant_keys == ("canary-new", "short", "long")
    assert test.definition == msgspec.structs.replace(
        ab_test.ab_test, variants=ab_test.ab_test.with_control("canary-new").variants
    )
    assert first.split is not None
    assert second.split is not None
    assert (first.split.variants[0], second.split.variants[0]) == ("canary-old", "canary-new")
    assert (first.ended_at, second.ended_at) == (second.started_at, None)
    assert (trail[0]["action"], trail[0]["after"]) == ("new_phase", {"phase": 2, "control": "canary-new"})
    assert allocation.test is not None
    assert allocation.test.control == allocation.stable


@pytest.mark.usefixtures("ab_test")
async def test_an_advance_beside_it_is_no_new_phase(engine: AsyncEngine, canary: Experiment) -> None:
    state = await applied(engine, canary, "advance", next_step=1, next_share_bp=1_000)

    assert state.experiment is not None
    assert state.test is not None
    assert (state.experiment.treatment_share_bp, state.test.phase) == (1_000, 1)
