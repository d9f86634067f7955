"""Samples about limits: who is refused for what, and whether gateways hear each other. No unit is named."""

from __future__ import annotations

from services.gateway.exposition import Figures
from services.gateway.limiting.limiter import Limiter


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
