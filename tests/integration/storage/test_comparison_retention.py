"""Comparisons of a shadow that ended long ago are deleted; its report stays as it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.experiment import Experiment
from services.domain.shadow import ShadowDefinition
from services.domain.shadow_report import ShadowSums, report_of
from services.routing.forgetting import forget
from services.storage import comparison_retention, comparisons, experiments
from services.storage.identifiers import new_id
from services.storage.tables import comparison_texts, shadow_sums
from services.storage.tables import comparisons as comparisons_table
from services.storage.tables import experiments as experiments_table
from tests.integration.storage.test_comparisons import comparison, side

KEPT_DAYS = 30
THRESHOLD = 0.8


async def shadow(engine: AsyncEngine, key: str, stopped_days_ago: float | None) -> Experiment:
    """A shadow with 90 comparisons in two phases, which still runs or was stopped so long ago."""
    definition = ShadowDefinition(treatment="new", similarity_threshold=THRESHOLD)
    one = Experiment(
        experiment_id=new_id(),
        key=key,
        route_key="chat",
        kind="shadow",
        status="draft",
        conclusion=None,
        definition=definition,
        control="old",
        phase=1,
        created_at=datetime.now(UTC),
    )
    stored = [
        comparison(
            f"unit-{i % 40}",
            experiment_id=one.experiment_id,
            phase=1 + i % 2,
            shadow=side("new", 1_000 + i),
            texts=("a", "b"),
            text_days=365,
        )
        for i in range(90)
    ]
    async with engine.begin() as connection:
        await experiments.create(connection, one)
        await comparisons.add(connection, stored)
        if stopped_days_ago is not None:
            at = datetime.now(UTC) - timedelta(days=stopped_days_ago)
            change = sa.update(experiments_table).where(experiments_table.c.key == key)
            await connection.execute(
                change.values(status="stopped", conclusion="inconclusive", stopped_at=at)
            )
    return one


async def sums(engine: AsyncEngine, one: Experiment, phase: int) -> ShadowSums:
    async with engine.connect() as connection:
        return await comparisons.summed(connection, one.experiment_id, phase, similar_from=THRESHOLD)


async def rows(engine: AsyncEngine, table: sa.Table, **where: Any) -> int:
    query = sa.select(sa.func.count()).select_from(table).filter_by(**where)
    async with engine.connect() as connection:
        return int(await connection.scalar(query) or 0)


async def test_the_report_outlives_the_rows(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while only some of the rows are deleted."""
    monkeypatch.setattr(comparison_retention, "ROWS_AT_ONCE", 40)
    over = await shadow(engine, "over", KEPT_DAYS + 1)
    before = [await sums(engine, over, phase) for phase in (1, 2)]
    deleted = []
    while not deleted or deleted[-1]:
        async with engine.begin() as connection:
            deleted.append(await comparison_retention.prune(connection, KEPT_DAYS))
        for phase in (1, 2):
            now = await sums(engine, over, phase)
            assert (now.table == before[phase - 1].table).all()
            assert report_of(now) == report_of(before[phase - 1])
    assert deleted == [40, 40, 10, 0]
    assert before[0].total("mirrored") == 45
    assert await rows(engine, comparisons_table) == await rows(engine, comparison_texts) == 0


COSTS = (
    "SELECT day, experiment_key, route_key, variant_key, requests, prompt_tokens, completion_tokens, "
    "cost_usd, unpriced_requests FROM shadow_cost_by_day ORDER BY experiment_key, day"
)


async def test_what_a_shadow_cost_outlives_the_rows(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while only some of the rows are deleted, and some came without a price or without tokens."""
    monkeypatch.setattr(comparison_retention, "ROWS_AT_ONCE", 40)
    over = await shadow(engine, "over", KEPT_DAYS + 1)
    await shadow(engine, "runs", None)
    night = int(datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC).timestamp() * 1e6)
    free = {"cost_nanos": None, "prompt_tokens": None, "completion_tokens": None}
    odd = [
        comparison("a", experiment_id=over.experiment_id, occurred_at_us=at, shadow=side("new", 1, **counts))
        for at, counts in (
            (night, {"cost_nanos": None}),
            (night + 1_000_000, {"cost_nanos": 7}),
            (night, free),
        )
    ]
    async with engine.begin() as connection:
        await comparisons.add(connection, odd)
    before = await costs(engine)
    assert sum(requests for _, key, *_, requests, _, _, _, _ in before if key == "over") == 93
    assert sum(unpriced for *_, unpriced in before) == 1
    deleted = []
    while not deleted or deleted[-1]:
        async with engine.begin() as connection:
            deleted.append(await comparison_retention.prune(connection, KEPT_DAYS))
        assert await costs(engine) == before
    assert deleted == [40, 40, 13, 0]


async def costs(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(sa.text(COSTS))]


@pytest.mark.parametrize("stopped_days_ago", [None, KEPT_DAYS - 1])
async def test_what_runs_or_ended_lately_keeps_its_rows(
    engine: AsyncEngine, stopped_days_ago: float | None
) -> None:
    kept = await shadow(engine, "kept", stopped_days_ago)
    await shadow(engine, "over", KEPT_DAYS + 1)
    assert await forget(engine, KEPT_DAYS) == 90
    assert await forget(engine, KEPT_DAYS) == 0
    assert await rows(engine, comparisons_table, experiment_id=kept.experiment_id) == 90
    assert await rows(engine, comparison_texts) == 90
    assert await rows(engine, shadow_sums, experiment_id=kept.experiment_id) == 0


async def test_two_that_forget_at_once_do_not_wait_for_each_other(engine: AsyncEngine) -> None:
    await shadow(engine, "over", KEPT_DAYS + 1)
    async with engine.begin() as one, engine.begin() as other:
        assert await comparison_retention.prune(one, KEPT_DAYS) == 90
        assert await comparison_retention.prune(other, KEPT_DAYS) == 0
