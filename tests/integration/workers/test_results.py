"""Results follow what is counted, the past is kept, and a phase that is over still follows late feedback."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.ab_evaluation import METHOD
from services.domain.bucket_table import share_segment
from services.domain.canary import CanaryDefinition
from services.domain.configuration import SegmentConfig
from services.storage import experiments, results
from services.storage.results import PhaseKey
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.workers.closing import renew_closed
from services.workers.results import rows_of
from tests.integration.workers.evaluated import (
    CHEAPER,
    PARTITIONS,
    TOPIC,
    Leases,
    be_fresh,
    count,
    count_rows,
    decided,
    start,
    stop,
    watch,
    write_sums,
)
from tests.unit.domain.sums import definition, two


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(DatabaseSettings(database_url=database_url), application_name="test")
    yield made
    await made.dispose()


async def rows(engine: AsyncEngine, query: str, **values: Any) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(sa.text(query), values)).all())


async def point(engine: AsyncEngine, metric: str, phase: int = 1) -> float:
    (row,) = await rows(
        engine,
        "SELECT point FROM experiment_results WHERE metric = :metric AND phase = :phase AND segment = ''"
        " AND statistic = 'absolute_difference' AND method = 'sequential'",
        metric=metric,
        phase=phase,
    )
    return float(row[0])


async def history(engine: AsyncEngine) -> dict[str, int]:
    """How many times results were kept, by occasion."""
    found = await rows(
        engine,
        "SELECT occasion, count(DISTINCT recorded_at) FROM experiment_results_history GROUP BY occasion",
    )
    return {row[0]: row[1] for row in found}


async def outdated(engine: AsyncEngine) -> list[PhaseKey]:
    async with engine.connect() as connection:
        return await results.outdated(connection)


async def close(engine: AsyncEngine) -> list[int]:
    """Renew what is outdated; return the phases."""
    found = await outdated(engine)
    for key in found:
        await renew_closed(engine, key, topic=TOPIC, partitions=PARTITIONS)
    return [key.phase for key in found]


async def test_a_winner_is_promoted_once_and_its_results_are_kept_with_the_decision(
    engine: AsyncEngine,
) -> None:
    experiment, decision_id = await decided(engine)
    again = watch(engine, experiment)
    await again.evaluate()
    found = await rows(engine, "SELECT action, rule, variant_key, method, allocation_version FROM decisions")
    assert found == [("promote", "promote_winner", "b", METHOD, 2)]
    kept = await rows(
        engine, "SELECT DISTINCT decision_id FROM experiment_results_history WHERE occasion = 'decision'"
    )
    assert kept == [(decision_id,)]
    assert await point(engine, "cost") < 0


async def test_results_are_renewed_when_something_was_counted_and_only_then(engine: AsyncEngine) -> None:
    experiment = await start(engine, definition())
    evaluator = watch(engine, experiment)
    await count(engine, experiment, two(1, 500))
    await evaluator.evaluate()
    assert evaluator.results_wait_seconds() is not None
    await evaluator.renew_results()
    before = await point(engine, "cost")
    assert evaluator.results_wait_seconds() is None
    await evaluator.evaluate()
    await write_sums(engine, experiment.experiment_id, 1, two(2, 900, cost=2.0)[1].table())
    await evaluator.evaluate()
    await evaluator.renew_results()
    assert await point(engine, "cost") > before
    assert len(await rows(engine, "SELECT DISTINCT as_of FROM experiment_results")) == 1
    assert await history(engine) == {"hour": 1}


async def test_an_ab_test_has_a_lease_while_it_is_measured(engine: AsyncEngine) -> None:
    experiment, leases = await start(engine, definition()), Leases()
    evaluator = watch(engine, experiment, leases)
    await evaluator.evaluate()
    assert leases.renewed == [experiment.experiment_id]
    await stop(engine, experiment)
    await evaluator.evaluate()
    assert leases.renewed == []


async def test_a_stopped_test_gets_its_last_results_and_follows_late_feedback(engine: AsyncEngine) -> None:
    """The naive way that fails: the last results are those of the last evaluation before the stop."""
    experiment = await start(engine, definition())
    await count(engine, experiment, two(1, 500))
    assert await outdated(engine) == []
    await stop(engine, experiment)
    assert await close(engine) == [1]
    before = await point(engine, "conversion")
    assert await close(engine) == []
    # Hours later: conversions of the treatment's units.
    await write_sums(engine, experiment.experiment_id, 1, two(1, 500, conversion=0.6)[1].table())
    assert await close(engine) == [1]
    assert await point(engine, "conversion") > before + 0.1
    assert await close(engine) == []
    assert await history(engine) == {"end": 1}


async def test_a_test_that_was_paused_before_it_stopped_has_an_end_too(engine: AsyncEngine) -> None:
    """The naive way that fails: nothing was counted since the pause, so nothing seems to be missing."""
    experiment = await start(engine, definition())
    await count(engine, experiment, two(1, 300))
    async with engine.begin() as connection:
        await experiments.set_status(connection, experiment.experiment_id, "paused")
    assert await close(engine) == [1]
    assert await close(engine) == []
    await stop(engine, experiment)
    assert await close(engine) == [1]
    assert await history(engine) == {"end": 1}


async def test_what_a_phase_ended_with_is_not_rewritten_once_it_has_settled(engine: AsyncEngine) -> None:
    experiment = await start(engine, definition())
    await count(engine, experiment, two(1, 500))
    await stop(engine, experiment)
    await close(engine)
    end = "SELECT point FROM experiment_results_history WHERE metric = 'conversion' AND statistic = 'mean'"
    before = sorted(await rows(engine, end))
    async with engine.begin() as connection:
        await connection.execute(
            sa.text("UPDATE experiment_phases SET ended_at = ended_at - interval '2 hours'")
        )
    await write_sums(engine, experiment.experiment_id, 1, two(1, 500, conversion=0.6)[1].table())
    await close(engine)
    assert sorted(await rows(engine, end)) == before


async def test_another_split_keeps_the_results_of_the_phase_before(engine: AsyncEngine) -> None:
    experiment = await start(engine, definition())
    await count(engine, experiment, two(1, 500, cost=0.8))
    changed = definition(weights=(0.8, 0.2))
    async with engine.begin() as connection:
        await experiments.begin_phase(connection, experiment.experiment_id, changed)
    evaluator = watch(engine, experiment)
    await count(engine, experiment, two(2, 400, cost=1.3), phase=2)
    await evaluator.evaluate()
    await evaluator.renew_results()
    assert await close(engine) == [1]
    assert await point(engine, "cost", phase=1) < 0 < await point(engine, "cost", phase=2)
    # Each by the split that was in force: as many units of both fit the first, and not the second.
    ratio = "SELECT DISTINCT phase, p_value FROM experiment_results WHERE statistic = 'sample_ratio'"
    p_values = {row[0]: row[1] for row in await rows(engine, ratio)}
    assert p_values[1] == 1.0
    assert p_values[2] < 1e-6


async def test_results_by_segment_are_marked_as_exploratory(engine: AsyncEngine) -> None:
    experiment = await start(engine, definition(segments=(SegmentConfig("tier", "x-tier"),)))
    variants = two(1, 500, cost=0.8)
    await count(engine, experiment, variants)
    for index, variant in enumerate(variants):
        await write_sums(engine, experiment.experiment_id, index, variant.table(), segment="tier=pro")
    evaluator = watch(engine, experiment)
    await evaluator.evaluate()
    await evaluator.renew_results()
    found = await rows(
        engine, "SELECT DISTINCT segment, exploratory FROM experiment_results ORDER BY segment"
    )
    assert found == [("", False), ("tier=pro", True)]


async def test_segments_and_everything_are_of_the_same_look(engine: AsyncEngine) -> None:
    """The naive way that fails: segments are read from the cache after the next evaluation filled it."""
    experiment = await start(engine, definition(segments=(SegmentConfig("tier", "x-tier"),)))
    evaluator = watch(engine, experiment)

    async def sum_up(units: int) -> None:
        for index, variant in enumerate(two(1, units)):
            for segment in ("", "tier=free", "tier=pro"):
                await write_sums(engine, experiment.experiment_id, index, variant.table(), segment=segment)

    await count(engine, experiment, two(1, 300))
    await sum_up(300)
    await evaluator.evaluate()
    judged = evaluator.judged
    assert judged is not None
    await sum_up(400)
    await evaluator.evaluate()
    of_one_look = await rows_of(judged)
    counted: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in of_one_look:
        if row.statistic == "mean":
            counted[row.metric, row.variant].add(row.n)
    assert set(map(len, counted.values())) == {1}


async def test_a_canary_has_results_too(engine: AsyncEngine) -> None:
    experiment = await start(engine, CanaryDefinition(treatment="b"))
    await count(engine, experiment, two(1, 500, cost=1.5))
    evaluator = watch(engine, experiment)
    await evaluator.evaluate()
    await evaluator.renew_results()
    assert await point(engine, "cost") > 0
    found = await rows(
        engine, "SELECT variant, comparison_to FROM experiment_results WHERE statistic = 'e_value_worse'"
    )
    assert found == [("b", "a")]


async def test_the_sums_of_a_ramp_are_read_by_share(engine: AsyncEngine) -> None:
    """The naive way that fails: one sum over the ramp, in which a late outage is the treatment's."""
    experiment = await start(engine, CanaryDefinition(treatment="b"))
    quiet, outage = two(1, 2_000), two(2, 1_000, error=0.5)
    outage[0] = two(3, 1_000, error=0.5)[1]
    quiet[1] = two(4, 100)[0]
    for share_bp, variants in ((500, quiet), (5_000, outage)):
        rows_at_share = [
            row for index, variant in enumerate(variants) for row in variant.rows(index, share_bp)
        ]
        await count_rows(engine, experiment.experiment_id, rows_at_share)
        for index, variant in enumerate(variants):
            await write_sums(
                engine,
                experiment.experiment_id,
                index,
                variant.table(),
                segment=share_segment(share_bp),
            )
    evaluator = watch(engine, experiment)
    await evaluator.evaluate()
    await evaluator.renew_results()
    assert abs(await point(engine, "error_rate")) < 0.06
    plain = [
        sum(variants[index].error.sum() for variants in (quiet, outage))
        / sum(len(variants[index].error) for variants in (quiet, outage))
        for index in (0, 1)
    ]
    assert plain[1] - plain[0] > 0.2


async def test_two_writers_of_the_same_results_take_turns(engine: AsyncEngine) -> None:
    experiment = await start(engine, CHEAPER)
    await count(engine, experiment, two(1, 200))
    await be_fresh(engine)
    watches = [watch(engine, experiment) for _ in range(4)]
    for one in watches:
        await one.evaluate()
    await asyncio.gather(*(one.renew_results() for one in watches))
    per_key = (
        "SELECT count(*) FROM experiment_results GROUP BY metric, segment, statistic, variant,"
        " comparison_to, method"
    )
    assert {row[0] for row in await rows(engine, per_key)} == {1}
    assert await history(engine) == {"hour": 1}
