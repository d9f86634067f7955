"""The loop from a client's request to the new split, every part real."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from services.domain.assignment import basis_point, split_salt
from tests.integration.loop import scrapes
from tests.integration.loop.conftest import Loop, eventually

pytestmark = pytest.mark.loop


async def test_a_bad_canary_rolls_itself_back_and_everything_is_counted_once(
    loop: Loop, tmp_path: Path
) -> None:
    before = await scrapes.scrape_until(loop.product, lambda seen: _knows(seen, loop.route))
    async with loop.under_load(100) as traffic:
        await loop.start_canary("broken")
        assert await loop.canary_ends() == "rolled_back"
        after = len(traffic.answers)
        await eventually(lambda: len(traffic.answers) > after + 100)
    last = max(answer.allocation for answer in traffic.answers)
    assert {a.variant for a in traffic.answers if a.allocation == last} == {"steady"}
    assert traffic.unanswered == 0
    totals = await loop.counted(len(traffic.answers))
    assert (totals.outcomes_counted, totals.missing) == (len(traffic.answers), 0)
    (decision,) = await loop.decisions()
    assert (decision["action"], decision["state"]) == ("rollback", "applied")
    await _check_metrics(loop, before, len(traffic.answers), tmp_path)


def _knows(seen: scrapes.Scrape, route: str) -> bool:
    return any(
        series.startswith("headgate_rollbacks_total{") and f'route="{route}"' in series for series in seen
    )


async def _check_metrics(loop: Loop, before: scrapes.Scrape, requests: int, place: Path) -> None:
    """All of it shows in the metrics, and the alerts say so and nothing else."""

    def more(seen: scrapes.Scrape, metric: str, *labels: str) -> float:
        return scrapes.total(seen, metric, *labels) - scrapes.total(before, metric, *labels)

    after = await scrapes.scrape_until(
        loop.product, lambda seen: more(seen, "headgate_books_outcomes_total") == requests
    )
    by_route = f'route="{loop.route}"'
    assert scrapes.total(before, "headgate_rollbacks_total", by_route, 'by="policy"') == 0
    assert scrapes.total(after, "headgate_rollbacks_total", by_route, 'by="policy"') == 1
    assert more(after, "headgate_worker_decisions_total", 'action="rollback"') == 1
    assert more(after, "headgate_worker_outcomes_total") == requests
    assert scrapes.total(after, "headgate_requests_total", by_route) == requests
    assert more(after, "headgate_routing_decision_delay_seconds_count", 'action="rollback"') == 1
    assert await scrapes.undocumented(loop.product) == []
    assert await scrapes.firing(before, after, place) in (None, {"HeadgateRollbackHappened"})


async def test_a_good_canary_climbs_its_steps_and_is_promoted(loop: Loop) -> None:
    async with loop.under_load(100) as traffic:
        await loop.start_canary("next", policy={"type": "sequential", "margin_promote": 0.1})
        assert await loop.canary_ends() == "promoted"
        after = len(traffic.answers)
        await eventually(lambda: len(traffic.answers) > after + 100)
    assert traffic.answers[-1].variant == "next"
    decisions = sorted(await loop.decisions(), key=lambda decision: decision["decided_at"])
    assert [decision["action"] for decision in decisions] == ["advance", "promote"]


async def test_one_unit_that_keeps_failing_rolls_nothing_back(loop: Loop) -> None:
    """Sticky units: counting each of its requests would cross 1/α with the fifth or so."""
    await loop.start_canary("broken", plan={"steps": [0.5]}, kill_switch={"minimum_requests": 100000})
    salt = split_salt((await loop.canary())["experiment_id"])
    unlucky = next(f"unlucky-{n}" for n in itertools.count() if basis_point(salt, f"unlucky-{n}") < 5_000)
    async with loop.under_load(40, itertools.repeat(unlucky)) as traffic:
        await eventually(lambda: sum(answer.failed for answer in traffic.answers) > 40)
    assert {answer.variant for answer in traffic.answers[-40:]} == {"broken"}
    await loop.counted(len(traffic.answers))
    experiment = await loop.canary()
    assert experiment["status"] == "running"
    assert await loop.decisions() == []
