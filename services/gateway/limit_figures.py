"""Samples about limits: who is refused, what of budgets is spent, whether gateways hear each other.

No unit is named.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.domain.configuration import CredentialConfig, RouteConfig, TeamConfig
from services.gateway.exposition import Figures
from services.gateway.limiting.judging import DAY_SECONDS, limit_of, use_of
from services.gateway.limiting.limiter import Limiter
from services.gateway.limiting.meters import Meter
from services.gateway.limiting.plans import Scope, scope_of
from services.gateway.limiting.refusals import Quantity
from services.gateway.view import ConfigView

BUDGETS: tuple[Quantity, ...] = ("tokens_per_day", "dollars_per_day")


def add_limits(figures: Figures, limiter: Limiter) -> None:
    """Add what a limiter counted."""
    ledger, standing = limiter.ledger, limiter.ledger.standing
    refused = "Requests refused by a limit, by whose it is and what it limits."
    figures.family("headgate_limit_refusals_total", "counter", refused)
    for (scope, limit), count in list(limiter.refusals.items()):
        figures.sample(count, scope=scope, limit=limit)
    shared = not limiter.sharing.begun or standing.together
    figures.single(
        "headgate_limits_shared", "gauge", "0 while each gateway allows its part of the limits only.", shared
    )
    gateways = "Gateway processes that share the limits, as far as this one knows."
    figures.single("headgate_limit_gateways", "gauge", gateways, standing.replicas)
    claims = "Requests that waited for the log to decide about the rest of a limit."
    figures.single("headgate_limit_claims_total", "counter", claims, limiter.claims)
    held = "Reservations of requests under way."
    figures.single("headgate_limit_reservations", "gauge", held, ledger.held)
    tracked = "Keys, teams, routes and units whose use is remembered."
    figures.single("headgate_limit_meters", "gauge", tracked, len(ledger.meters.by_scope))
    evicted = "Of those, dropped while they held something because there were too many."
    figures.single("headgate_limit_meters_evicted_total", "counter", evicted, ledger.meters.evicted)


def add_budgets(figures: Figures, limiter: Limiter, view: ConfigView, seconds: float) -> None:
    """Add how much of today's budgets is spent, by all gateways, at a moment since 1970-01-01."""
    spent = (
        "Of a budget for the day (UTC), what is spent or reserved, as far as this gateway knows; 1 is all."
    )
    figures.family("headgate_budget_spent_ratio", "gauge", spent)
    meters, today = limiter.ledger.meters.by_scope, int(seconds / DAY_SECONDS)
    for scope in _with_budgets(view):
        meter = meters.get(scope.number)
        for budget in BUDGETS:
            limit = limit_of(scope, budget)
            if limit:
                ratio = _spent(meter, budget, today) / limit
                figures.sample(ratio, scope=scope.kind, key=scope.name, budget=budget)


def _with_budgets(view: ConfigView) -> Iterator[Scope]:
    # Each list is made in one step: the thread that serves may change what it is made from.
    routes = [route.config for route in list(view.routes.values())]
    states: list[CredentialConfig | TeamConfig | RouteConfig] = [*routes, *list(view.teams.values())]
    states += list(view.credentials.values())
    for state in states:
        scope = scope_of(state)
        if scope is not None and scope.counts_day:
            yield scope


def _spent(meter: Meter | None, budget: Quantity, today: int) -> int:
    """Return what is known to be used today: a day that is over may not be forgotten yet."""
    if meter is None or meter.day is None or meter.day.number != today:
        return 0
    return use_of(meter, budget)[0]
