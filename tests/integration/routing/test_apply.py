"""A decision changes the traffic once, together with everything that follows from it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.configuration import Config, RouteConfig
from services.domain.decision import Decision
from services.domain.experiment import Experiment
from services.domain.restraint import EVERYWHERE
from services.routing.apply import apply_decision
from services.storage import audit, decisions, experiments, freezes, phases, routes
from services.storage.identifiers import new_id
from services.storage.paging import Page
from services.storage.tables import outbox


def decision(experiment: Experiment, action: Any, version: int = 2, **changes: Any) -> Decision:
    return replace(
        Decision(
            decision_id=new_id(),
            experiment_id=experiment.experiment_id,
            phase=experiment.phase,
            action=action,
            rule="test",
            reason="because",
            actor="policy",
            allocation_version=version,
            decided_at=datetime.now(UTC),
        ),
        **changes,
    )


async def recorded(engine: AsyncEngine, one: Decision) -> Decision:
    async with engine.begin() as connection:
        assert await decisions.record(connection, one)
    return one


async def published(engine: AsyncEngine) -> list[RouteConfig]:
    async with engine.connect() as connection:
        values = (await connection.scalars(sa.select(outbox.c.value).order_by(outbox.c.outbox_id))).all()
    states = [msgspec.json.decode(value, type=Config) for value in values]
    return [state for state in states if isinstance(state, RouteConfig)]


async def outcome(engine: AsyncEngine, one: Decision) -> Decision:
    async with engine.connect() as connection:
        found = await decisions.get(connection, one.decision_id)
    assert found is not None
    return found


async def test_a_rollback_leaves_the_control(engine: AsyncEngine, canary: Experiment) -> None:
    one = await recorded(engine, decision(canary, "rollback"))

    assert await apply_decision(engine, one.decision_id) == "applied"

    async with engine.connect() as connection:
        stopped = await experiments.get(connection, canary.key)
        newest = (await routes.history(connection, canary.route_key, Page())).items[0]
        entry = (await audit.page(connection, Page())).items[0]
    assert (stopped.status, stopped.conclusion) == ("stopped", "rolled_back")
    assert stopped.stopped_at is not None
    assert newest.allocation.weights_bp == {"canary-old": 10_000}
    assert (newest.decision_id, newest.actor, newest.reason) == (one.decision_id, "policy", "because")
    assert (entry["action"], entry["subject"]) == ("rollback", "experiment/canary")
    (state,) = await published(engine)
    assert (state.stable, state.experiment, state.allocation_version) == ("canary-old", None, 3)
    result = await outcome(engine, one)
    assert (result.state, result.applied_version) == ("applied", 3)


async def test_a_promotion_makes_the_treatment_stable(engine: AsyncEngine, canary: Experiment) -> None:
    one = await recorded(engine, decision(canary, "promote"))

    assert await apply_decision(engine, one.decision_id) == "applied"

    (state,) = await published(engine)
    assert (state.stable, state.experiment, set(state.variants)) == ("canary-new", None, {"canary-new"})
    async with engine.connect() as connection:
        assert (await experiments.get(connection, canary.key)).conclusion == "promoted"


async def test_a_promotion_with_a_holdback_begins_the_watch(engine: AsyncEngine, canary: Experiment) -> None:
    one = await recorded(engine, decision(canary, "promote", next_share_bp=9_500))

    assert await apply_decision(engine, one.decision_id) == "applied"

    async with engine.connect() as connection:
        watched = await experiments.get(connection, canary.key)
        first, second = await phases.of_experiment(connection, canary.experiment_id)
    assert (watched.status, watched.stage, watched.phase) == ("running", "watch", 2)
    assert first.ended_at == second.started_at == watched.step_started_at
    assert (second.split, second.ended_at) == (None, None)
    (state,) = await published(engine)
    assert state.stable == "canary-old"
    assert state.experiment is not None
    # A promoted variant is not taken away because nobody measures.
    assert (state.experiment.phase, state.experiment.on_blind) == (2, "hold")
    assert (state.experiment.treatment, state.experiment.treatment_share_bp) == ("canary-new", 9_500)

    back = await recorded(engine, decision(watched, "rollback"))
    assert await apply_decision(engine, back.decision_id) == "applied"
    async with engine.connect() as connection:
        assert (await experiments.get(connection, canary.key)).conclusion == "rolled_back"


@pytest.mark.parametrize("scope", [EVERYWHERE, "chat"])
@pytest.mark.parametrize(
    ("action", "actor", "expected"),
    [
        ("advance", "policy", "dropped"),
        ("promote", "policy", "dropped"),
        ("rollback", "policy", "applied"),
        ("promote", "admin", "applied"),
    ],
)
async def test_a_freeze_drops_what_the_policy_recorded_before_it(
    engine: AsyncEngine, canary: Experiment, scope: str, action: str, actor: str, expected: str
) -> None:
    one = await recorded(engine, decision(canary, action, actor=actor, next_step=1, next_share_bp=1_000))
    async with engine.begin() as connection:
        await freezes.put(connection, scope, actor="admin", reason="launch week")

    assert await apply_decision(engine, one.decision_id) == expected
    if expected == "dropped":
        assert "frozen by admin: launch week" in str((await outcome(engine, one)).state_reason)
        # After the freeze the like of it may be decided for the same allocation.
        await recorded(engine, replace(one, decision_id=new_id()))


async def test_the_freeze_of_another_route_changes_nothing(engine: AsyncEngine, canary: Experiment) -> None:
    one = await recorded(engine, decision(canary, "promote"))
    async with engine.begin() as connection:
        await freezes.put(connection, "other", actor="admin", reason="launch week")
    assert await apply_decision(engine, one.decision_id) == "applied"


async def test_an_advance_begins_the_next_step(engine: AsyncEngine, canary: Experiment) -> None:
    one = await recorded(engine, decision(canary, "advance", next_step=1, next_share_bp=1_000))

    assert await apply_decision(engine, one.decision_id) == "applied"

    async with engine.connect() as connection:
        running = await experiments.get(connection, canary.key)
        allocation = (await routes.get(connection, canary.route_key)).allocation
    assert running.status == "running"
    assert running.step_started_at is not None
    assert canary.step_started_at is not None
    assert running.step_started_at > canary.step_started_at
    assert (allocation.step, allocation.treatment_share_bp) == (1, 1_000)
    (state,) = await published(engine)
    assert state.experiment is not None
    assert state.experiment.treatment_share_bp == 1_000


async def test_a_rollback_is_applied_to_a_newer_allocation(engine: AsyncEngine, canary: Experiment) -> None:
    advance = await recorded(engine, decision(canary, "advance", next_step=1, next_share_bp=1_000))
    rollback = await recorded(engine, decision(canary, "rollback"))
    await apply_decision(engine, advance.decision_id)

    assert await apply_decision(engine, rollback.decision_id) == "applied"
    assert (await outcome(engine, rollback)).applied_version == 4


@pytest.mark.parametrize("action", ["advance", "promote"])
async def test_what_comes_too_late_is_dropped_and_says_so(
    engine: AsyncEngine, canary: Experiment, action: str
) -> None:
    late = await recorded(engine, decision(canary, action, version=1, next_step=1, next_share_bp=1_000))

    assert await apply_decision(engine, late.decision_id) == "dropped"

    result = await outcome(engine, late)
    assert result.state == "dropped"
    assert "decided on allocation 1, but the route is at 2" in str(result.state_reason)
    assert await published(engine) == []


async def test_after_the_end_nothing_is_applied(engine: AsyncEngine, canary: Experiment) -> None:
    rollback = await recorded(engine, decision(canary, "rollback"))
    promote = await recorded(engine, decision(canary, "promote"))
    await apply_decision(engine, rollback.decision_id)

    assert await apply_decision(engine, promote.decision_id) == "dropped"
    assert "no longer has a part" in str((await outcome(engine, promote)).state_reason)


async def test_an_advance_to_nowhere_is_dropped(engine: AsyncEngine, canary: Experiment) -> None:
    broken = await recorded(engine, decision(canary, "advance"))

    assert await apply_decision(engine, broken.decision_id) == "dropped"


async def test_a_decision_of_an_unknown_experiment_is_dropped(
    engine: AsyncEngine, canary: Experiment
) -> None:
    orphan = await recorded(engine, decision(replace(canary, experiment_id=new_id()), "rollback"))

    assert await apply_decision(engine, orphan.decision_id) == "dropped"


async def test_it_is_applied_once_however_many_try(engine: AsyncEngine, canary: Experiment) -> None:
    one = await recorded(engine, decision(canary, "advance", next_step=1, next_share_bp=1_000))

    results = await asyncio.gather(*(apply_decision(engine, one.decision_id) for _ in range(5)))

    assert sorted(results) == ["applied", *["nothing"] * 4]
    assert len(await published(engine)) == 1


async def test_an_unknown_decision_is_nothing(engine: AsyncEngine) -> None:
    assert await apply_decision(engine, new_id()) == "nothing"
