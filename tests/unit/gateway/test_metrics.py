"""What is counted of outcomes, and for how many names."""

from __future__ import annotations

from typing import Any

import pytest

from services.domain.events import Attempt, Outcome, UnitSource
from services.domain.status import OutcomeStatus
from services.gateway import metrics as counting
from services.gateway.exposition import Bars, Figures
from services.gateway.metrics import OTHER, Metrics
from services.gateway.request_figures import add_requests


class Sink:
    def __init__(self) -> None:
        self.taken: list[Outcome] = []

    def offer(self, outcome: Outcome) -> None:
        self.taken.append(outcome)


def outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "request_id": "0" * 32,
        "route_key": "support",
        "variant_key": "stable",
        "unit_hash": 1,
        "unit_source": UnitSource.USER,
        "status": OutcomeStatus.OK,
        "http_status": 200,
        "started_at_us": 0,
        "latency_us": 70_000,
        "attempts": (Attempt("only", OutcomeStatus.OK, 200, 60_000),),
    }
    return Outcome(**(values | changes))


def shown(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float | Bars]]:
    figures = Figures({})
    add_requests(figures, metrics)
    return {one.name: {tuple(labels): value for labels, value in one.rows} for one in figures.families}


def test_a_request_in_all_its_figures() -> None:
    sink = Sink()
    metrics = Metrics(sink)
    told = outcome(
        first_token_us=40_000,
        prompt_tokens=11,
        cached_tokens=3,
        completion_tokens=7,
        cost_nanos=1_500,
        team_key="t",
    )
    for one in (told, outcome(status=OutcomeStatus.TIMEOUT, attempts=())):
        metrics.offer(one, metrics.counts_of("support", "stable"))
    assert sink.taken[0] is told
    found = shown(metrics)
    assert found["headgate_requests_total"] == {
        ("ok", "support", "stable"): 1,
        ("timeout", "support", "stable"): 1,
    }
    assert found["headgate_tokens_total"] == {
        ("prompt", "support", "stable"): 11,
        ("cached", "support", "stable"): 3,
        ("completion", "support", "stable"): 7,
    }
    assert found["headgate_cost_dollars_total"] == {("t", "support", "stable"): 1.5e-6}
    assert found["headgate_attempts_total"] == {("only", "ok"): 1}
    (duration,) = found["headgate_request_duration_seconds"].values()
    assert duration == Bars([0, 2, *[0] * 12], 0.14)
    (first_token,) = found["headgate_first_token_seconds"].values()
    assert first_token == Bars([0, 1, *[0] * 13], 0.04)


def test_costs_are_told_apart_by_team_in_whatever_order_they_ask() -> None:
    metrics = Metrics(Sink())
    counts = metrics.counts_of("support", "stable")
    for nanos, team in ((1, "a"), (10, "b"), (100, "a"), (1_000, ""), (10_000, "a"), (100_000, "b")):
        metrics.offer(outcome(cost_nanos=nanos, team_key=team), counts)
    assert metrics.by_route["support"]["stable"] is counts
    assert counts.cost_nanos == {"a": 10_101, "b": 100_010, "": 1_000}


def test_names_beyond_the_limit_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_SERIES", 4)
    metrics = Metrics(Sink())
    for number in range(50):
        key = f"{number}"
        attempts = (Attempt(key, OutcomeStatus.OK, 200, 1),)
        one = outcome(route_key=key, variant_key=key, team_key=key, cost_nanos=1, attempts=attempts)
        metrics.offer(one, metrics.counts_of(key, key))
    found = shown(metrics)
    assert sum(map(len, metrics.by_route.values())) + len(metrics.attempts) < 10
    counted = [value for value in found["headgate_requests_total"].values() if not isinstance(value, Bars)]
    assert sum(counted) == 50
    assert metrics.by_route[OTHER][OTHER].cost_nanos[OTHER] > 40
    assert metrics.attempts[OTHER][OutcomeStatus.OK] > 40
