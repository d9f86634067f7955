"""After the promotion, and beside each other: canaries and A/B tests on one route, every part real."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import sqlalchemy as sa

from services.demo.setup import create_variant
from services.demo.traffic import Answer
from services.domain.assignment import basis_point, inclusion_salt, split_salt
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.loop.conftest import Loop

pytestmark = pytest.mark.loop


async def test_a_promoted_variant_that_fails_is_taken_back(loop: Loop) -> None:
    """The naive way that fails: once it is promoted nobody compares it with anything."""
    await loop.start_canary("broken", plan={"steps": [0.05], "holdback_share": 0.1, "watch_minutes": 30})
    await loop.api.post(f"/v1/experiments/{loop.key}/promote")
    async with asyncio.timeout(60):
        while (await loop.canary())["stage"] != "watch":
            await asyncio.sleep(0.05)
    async with loop.under_load(100) as traffic:
        assert await loop.canary_ends() == "rolled_back"
        over = len(traffic.answers)
        async with asyncio.timeout(60):
            while {one.variant for one in traffic.answers[-50:]} != {"steady"}:
                await asyncio.sleep(0.05)
    served = Counter(answer.variant for answer in traffic.answers[:over])
    assert served["broken"] > served["steady"]
    experiment = await loop.canary()
    assert (experiment["stage"], experiment["phase"]) == ("watch", 2)
    made = sorted(await loop.decisions(), key=lambda decision: decision["decided_at"])
    assert [(one["action"], one["actor"], one["phase"]) for one in made] == [
        ("promote", "admin", 1),
        ("rollback", "policy", 2),
    ]


CANARY_SHARE, TRAFFIC_SHARE = 0.3, 0.5
OBSERVED = {"mode": "observe", "on_blind": "hold"}
"""Nothing is decided, and units are assigned before anybody measures too."""


async def test_a_canary_and_a_test_at_once_are_both_attributed(loop: Loop) -> None:
    """Each unit is assigned by each experiment's own salt, and counts for both, whoever served it."""
    await create_variant(loop.api, "short", loop.product.addresses.provider, "sim:latency_ms=2")
    test = {
        "key": "test",
        "route": loop.route,
        "kind": "ab_test",
        "variants": [{"key": "steady", "weight": 0.5}, {"key": "short", "weight": 0.5}],
        "goals": ["error_rate"],
        "traffic_share": TRAFFIC_SHARE,
        **OBSERVED,
    }
    await loop.api.post("/v1/experiments", test)
    await loop.api.post("/v1/experiments/test/start")
    await loop.start_canary("next", plan={"steps": [CANARY_SHARE]}, **OBSERVED)
    last = (await loop.canary())["allocation"]["version"]
    async with loop.under_load(100) as traffic:
        async with asyncio.timeout(60):
            while sum(answer.allocation == last for answer in traffic.answers) < 600:
                await asyncio.sleep(0.05)
    await loop.counted(len(traffic.answers))
    canary, ab_test = [
        str((await loop.api.get(f"/v1/experiments/{k}"))["experiment_id"]) for k in (loop.key, "test")
    ]

    # A gateway may hear of the test, which started first, a moment before it hears of the canary.
    seen = [answer for answer in traffic.answers if answer.allocation == last]
    tested = [answer for answer in traffic.answers if answer.allocation >= last - 1]
    by_canary = Counter(_canary_role(canary, answer) for answer in seen)
    by_test = Counter(place for answer in tested if (place := _test_place(ab_test, answer)) is not None)
    assert await _counted(loop, canary) == by_canary
    assert await _counted(loop, ab_test) == by_test
    for answer in seen:
        below = "next" if _canary_role(canary, answer) else "steady"
        assert answer.variant == ("short" if _test_place(ab_test, answer) else below)


def _canary_role(experiment_id: str, answer: Answer) -> int:
    return int(basis_point(split_salt(experiment_id), answer.unit) < CANARY_SHARE * 10_000)


def _test_place(experiment_id: str, answer: Answer) -> int | None:
    """The variant's number in the test, or None for a unit that takes no part."""
    if basis_point(inclusion_salt(experiment_id), answer.unit) >= TRAFFIC_SHARE * 10_000:
        return None
    return int(basis_point(split_salt(experiment_id), answer.unit) >= 5_000)


async def _counted(loop: Loop, experiment_id: str) -> Counter[int]:
    """Requests by the number of the variant they were assigned to."""
    engine = create_engine(DatabaseSettings(database_url=loop.product.database_url), application_name="test")
    query = sa.text(
        "SELECT CASE role WHEN 'control' THEN 0 ELSE 1 END AS place, sum(requests)::int AS n "
        "FROM experiment_counts WHERE experiment_id = :id GROUP BY 1"
    )
    async with engine.connect() as connection:
        rows = (await connection.execute(query, {"id": experiment_id})).all()
    await engine.dispose()
    return Counter({row.place: row.n for row in rows})
