"""The policy on real counts: what a freeze, an observer's mode, an approval and a watch make of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.canary import CanaryDefinition, CanaryPlan
from services.domain.experiment import Experiment
from services.domain.restraint import EVERYWHERE
from services.routing.apply import apply_decision
from services.storage import decisions, experiments, freezes, routes
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.workers import watch as watching
from tests.integration.workers.evaluated import be_fresh, count, start, watch
from tests.unit.domain.sums import two

PLAN: dict[str, Any] = {"steps": (0.5,), "step_minimum_seconds": 0.0, "step_minimum_units": 10}


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(DatabaseSettings(database_url=database_url), application_name="headgate-tests")
    yield engine
    await engine.dispose()


async def started(engine: AsyncEngine, *, mode: Any = "act", **plan: Any) -> Experiment:
    """A canary whose counts say that it is as good as the control: ready to be promoted."""
    definition = CanaryDefinition("b", plan=CanaryPlan(**PLAN, **plan), mode=mode)
    experiment = await start(engine, definition)
    await count(engine, experiment, two())
    await be_fresh(engine)
    return experiment


async def recorded(engine: AsyncEngine, experiment: Experiment) -> list[tuple[str, str, str]]:
    async with engine.connect() as connection:
        found = await decisions.of_experiment(connection, experiment.experiment_id)
    return [(one.action, one.rule, one.state) for one in reversed(found)]


async def shown(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return (await connection.execute(sa.text("SELECT rule, sentence FROM evaluations"))).one()


async def freeze(engine: AsyncEngine, scope: str) -> None:
    async with engine.begin() as connection:
        await freezes.put(connection, scope, actor="admin", reason="launch week")


async def apply_all(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        waiting = await decisions.recorded(connection)
    return [await apply_decision(engine, one) for one in waiting]


async def test_an_observer_says_what_it_would_do(engine: AsyncEngine) -> None:
    experiment = await started(engine, mode="observe")
    await watch(engine, experiment).evaluate()

    assert await recorded(engine, experiment) == []
    evaluation = await shown(engine)
    assert evaluation.rule == "observe"
    assert "would promote (promote_when_not_worse)" in evaluation.sentence


@pytest.mark.parametrize("everything", [True, False])
async def test_under_a_freeze_nothing_is_decided_and_afterwards_it_is(
    engine: AsyncEngine, everything: bool
) -> None:
    experiment = await started(engine)
    scope = EVERYWHERE if everything else experiment.route_key
    await freeze(engine, scope)
    one = watch(engine, experiment)
    await one.evaluate()
    assert await recorded(engine, experiment) == []
    assert (await shown(engine)).rule == "frozen"
    assert "launch week" in (await shown(engine)).sentence

    async with engine.begin() as connection:
        assert await freezes.lift(connection, scope) is not None
    await one.evaluate()
    assert await recorded(engine, experiment) == [("promote", "promote_when_not_worse", "recorded")]


async def test_what_was_decided_before_a_freeze_is_dropped_and_decided_anew(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive way that fails: one decision per allocation, so the one that was dropped is the last."""
    monkeypatch.setattr(watching, "DECIDED_AGAIN_SECONDS", 0.0)
    experiment = await started(engine)
    one = watch(engine, experiment)
    await one.evaluate()
    await freeze(engine, EVERYWHERE)
    assert await apply_all(engine) == ["dropped"]
    async with engine.begin() as connection:
        (dropped,) = await decisions.of_experiment(connection, experiment.experiment_id)
        assert "all routes are frozen by admin: launch week" in str(dropped.state_reason)
        await freezes.lift(connection, EVERYWHERE)

    await one.evaluate()
    await one.evaluate()
    assert await apply_all(engine) == ["applied"]
    assert [state for *_, state in await recorded(engine, experiment)] == ["dropped", "applied"]


async def test_a_freeze_lets_rollbacks_pass(engine: AsyncEngine) -> None:
    experiment = await start(engine, CanaryDefinition("b", plan=CanaryPlan(**PLAN)))
    await count(engine, experiment, two(error=0.5))
    await be_fresh(engine)
    await freeze(engine, experiment.route_key)
    await watch(engine, experiment).evaluate()

    assert await apply_all(engine) == ["applied"]
    assert [(action, state) for action, _, state in await recorded(engine, experiment)] == [
        ("rollback", "applied")
    ]


async def test_it_waits_for_approval_of_the_present_allocation(engine: AsyncEngine) -> None:
    experiment = await started(engine, approve_before=("promote",))
    one = watch(engine, experiment)
    await one.evaluate()
    assert (await shown(engine)).rule == "hold_for_approval"

    for version in (1, 2):  # the canary is at allocation 2; what was approved before it counts for nothing
        assert await recorded(engine, experiment) == []
        async with engine.begin() as connection:
            await experiments.approve(connection, experiment.experiment_id, version)
        await one.evaluate()
    assert await recorded(engine, experiment) == [("promote", "promote_when_not_worse", "recorded")]


@pytest.mark.parametrize(("errors", "conclusion"), [(0.5, "rolled_back"), (0.0, "promoted")])
async def test_a_promoted_variant_is_watched_in_a_phase_of_its_own(
    engine: AsyncEngine, errors: float, conclusion: str
) -> None:
    experiment = await started(engine, holdback_share=0.05, watch_minutes=30)
    one = watch(engine, experiment)
    await one.evaluate()
    assert await apply_all(engine) == ["applied"]
    async with engine.connect() as connection:
        watched = await experiments.get(connection, experiment.key)
        allocation = (await routes.get(connection, experiment.route_key)).allocation
    assert (watched.status, watched.stage, watched.phase) == ("running", "watch", 2)
    assert (allocation.stable, allocation.treatment_share_bp) == ("a", 9_500)

    await be_fresh(engine)
    await one.evaluate()
    assert (await shown(engine)).rule == "hold_for_watch"
    await count(engine, watched, two(error=errors) if errors else two(), phase=2)
    async with engine.begin() as connection:
        earlier = "UPDATE experiment_phases SET started_at = now() - interval '31 minutes' WHERE phase = 2"
        await connection.execute(sa.text(earlier))
    await be_fresh(engine)
    await watch(engine, experiment).evaluate()  # another worker: this one knows when the phase began
    assert await apply_all(engine) == ["applied"]
    async with engine.connect() as connection:
        over = await experiments.get(connection, experiment.key)
        stable = (await routes.get(connection, experiment.route_key)).allocation.stable
    assert (over.status, over.conclusion) == ("stopped", conclusion)
    assert stable == ("b" if conclusion == "promoted" else "a")
