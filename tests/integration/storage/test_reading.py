"""What analysts read: functions and views."""

import json
import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.assignment import basis_point, split_salt, unit_hash
from services.storage.tables import experiment_counts, experiments

VECTORS = Path(__file__).parents[3] / "docs" / "assignment-vectors.json"
UNITS = ["", "u", "user-1", "ünïcödé", "漢字", "🙂", "a" * 5_000, *(f"user-{n}" for n in range(200))]


async def test_sql_assigns_as_the_gateway_does(engine: AsyncEngine) -> None:
    query = sa.text("SELECT headgate_basis_point(:salt, :unit), headgate_unit_hash(:unit)")
    async with engine.connect() as connection:
        for unit in UNITS:
            salt = split_salt(str(uuid.uuid4()))
            row = (await connection.execute(query, {"salt": salt, "unit": unit})).one()
            signed = int.from_bytes(unit_hash(unit).to_bytes(8, "big"), "big", signed=True)
            assert tuple(row) == (basis_point(salt, unit), signed)


async def test_sql_agrees_with_the_published_vectors(engine: AsyncEngine) -> None:
    vectors = json.loads(VECTORS.read_text())
    async with engine.connect() as connection:
        for vector in vectors["choices"]:
            query = sa.text("SELECT headgate_basis_point(:salt, :unit_id)")
            assert await connection.scalar(query, vector) == vector["basis_point"]
        for vector in vectors["units"]:
            signed = await connection.scalar(sa.text("SELECT headgate_unit_hash(:unit_id)"), vector)
            assert str(int(signed) % 2**64) == vector["unit_hash"]


async def canary(connection: AsyncConnection, key: str, **changes: Any) -> uuid.UUID:
    values = {
        "experiment_id": uuid.uuid4(),
        "key": key,
        "route_key": key,
        "kind": "canary",
        "status": "running",
        "definition": {"treatment": "new"},
        "control": "old",
        "phase": 2,
        **changes,
    }
    await connection.execute(sa.insert(experiments).values(values))
    return values["experiment_id"]


async def count(
    connection: AsyncConnection, experiment_id: uuid.UUID, minutes_ago: int, role: str, **figures: int
) -> None:
    tick = sa.text(f"floor(extract(epoch FROM now()) / 60)::bigint - {minutes_ago}")
    for share, phase in ((500, 2), (1_000, 2), (500, 1)):
        await connection.execute(
            sa.insert(experiment_counts).values(
                experiment_id=experiment_id,
                phase=phase,
                tick=tick,
                treatment_share_bp=share,
                role=role,
                variant_index=int(role == "treatment"),
                **figures,
            )
        )


async def test_rolling_error_rates_by_variant(engine: AsyncEngine) -> None:
    # One transaction: now() stands still, so no minute passes between counting and looking.
    async with engine.connect() as connection:
        experiment_id = await canary(connection, "watched")
        for minutes_ago, requests in ((0, 10), (1, 20), (2, 40), (10, 80), (11, 160), (60, 320), (61, 640)):
            figures = {"requests": requests, "errors": requests // 10, "content_filters": 1}
            await count(connection, experiment_id, minutes_ago, "treatment", **figures)
        rows = await connection.execute(
            sa.text("SELECT * FROM canary_health ORDER BY role DESC, window_minutes")
        )
        health = [dict(row) for row in rows.mappings()]

    figures_by_window = {
        row["window_minutes"]: (row["requests"], row["errors"], row["content_filters"], row["error_rate"])
        for row in health
        if row["role"] == "treatment"
    }
    # The open minute and the whole minutes before it, both shares, only the present phase.
    assert figures_by_window == {
        1: (60, 6, 4, 0.1),
        10: (300, 30, 8, 0.1),
        60: (1_260, 126, 12, 0.1),
    }
    silent = [row for row in health if row["role"] == "control"]
    assert [(row["variant_key"], row["requests"], row["error_rate"]) for row in silent] == [
        ("old", 0, None)
    ] * 3
    assert {row["experiment_key"] for row in health} == {"watched"}


async def test_health_shows_what_runs_or_stopped_within_the_hour(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await canary(connection, "draft", status="draft")
        await canary(connection, "paused", status="paused")
        for key, minutes in (("lately", 59), ("long-ago", 61)):
            stopped_at = sa.text(f"now() - interval '{minutes} minutes'")
            await canary(connection, key, status="stopped", stopped_at=stopped_at)
        keys = await connection.scalars(sa.text("SELECT DISTINCT experiment_key FROM canary_health"))
        assert set(keys) == {"paused", "lately"}
