"""How much of today's budgets is shown to be spent: of keys by their id, teams and routes, never of units."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from services.domain.configuration import CredentialConfig, RouteConfig, TeamConfig, VariantConfig
from services.domain.escrow import Standing
from services.domain.limits import Limits
from services.gateway.exposition import Figures
from services.gateway.limit_figures import add_budgets
from services.gateway.limiting.estimates import Cost
from services.gateway.limiting.judging import DAY_SECONDS
from services.gateway.limiting.ledger import Ledger
from services.gateway.view import ConfigView

DAY = 20_000
KEY = CredentialConfig(
    version=(1, 1),
    key_id="key-1",
    key_hash="0f",
    label="app",
    team="web",
    limits=Limits(tokens_per_day=1_000, requests_per_minute=9),
)
TEAM = TeamConfig(version=(1, 2), key="web", limits=Limits(dollars_per_day=2e-6))
ROUTE = RouteConfig(
    version=(1, 3),
    key="support",
    variants={"stable": VariantConfig(key="stable", endpoint_keys=("only",))},
    stable="stable",
    allocation_version=1,
    limits=Limits(requests_per_minute=9),
    unit_limits=Limits(tokens_per_day=500),
)


def shown(ledger: Ledger, view: ConfigView, day: float) -> dict[tuple[str, str, str], Any]:
    figures = Figures({"process": "0"})
    limiter: Any = SimpleNamespace(ledger=ledger)
    add_budgets(figures, limiter, view, day * DAY_SECONDS)
    (family,) = figures.families
    assert family.labels in ((), ("process", "scope", "key", "budget"))
    return {(labels[1], labels[2], labels[3]): value for labels, value in family.rows}


def test_budgets_are_shown_and_no_unit() -> None:
    view, ledger = ConfigView([KEY, TEAM, ROUTE]), Ledger(Standing(1), 100)
    nothing = {("key", "key-1", "tokens_per_day"): 0.0, ("team", "web", "dollars_per_day"): 0.0}
    assert shown(ledger, view, DAY + 0.5) == nothing
    plan = view.plan(KEY, ROUTE)
    assert plan is not None
    held = ledger.reserve(plan, 7, Cost(100, 300, 1_500), 50.0, DAY + 0.5)
    reserved = {("key", "key-1", "tokens_per_day"): 0.4, ("team", "web", "dollars_per_day"): 0.75}
    assert shown(ledger, view, DAY + 0.5) == reserved
    ledger.settle(held, 250, 500)
    settled = {("key", "key-1", "tokens_per_day"): 0.25, ("team", "web", "dollars_per_day"): 0.25}
    assert shown(ledger, view, DAY + 0.5) == settled
    assert shown(ledger, view, DAY + 1.1) == nothing, "the day is over"


def test_without_budgets_there_is_nothing_to_show() -> None:
    assert shown(Ledger(Standing(1), 100), ConfigView([ROUTE]), DAY) == {}
