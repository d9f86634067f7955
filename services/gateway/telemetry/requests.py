"""What the span of a whole request says: where it went, in which experiment, and what it came to."""

from __future__ import annotations

from services.domain.events import AssignedTo, Outcome
from services.gateway.exchange import Exchange
from services.gateway.telemetry.conventions import Attributes, error_type, usage_attributes


def request_attributes(exchange: Exchange, outcome: Outcome) -> Attributes:
    """Return them. Neither the unit nor anything it said is in there."""
    attributes: Attributes = {
        "gen_ai.request.model": exchange.route.config.key,
        "headgate.route": outcome.route_key,
        "headgate.variant": outcome.variant_key,
        "headgate.allocation": exchange.route.config.allocation_version,
        "headgate.outcome": outcome.status.name.lower(),
        "headgate.attempts": len(outcome.attempts),
        "headgate.key_id": outcome.key_id,
        "http.response.status_code": outcome.http_status,
        **usage_attributes(outcome),
        **_assigned(exchange, outcome.assignments),
    }
    if exchange.given_id is not None:
        attributes["headgate.client_request_id"] = exchange.given_id.decode("ascii")
    if outcome.team_key:
        attributes["headgate.team"] = outcome.team_key
    if outcome.cost_nanos is not None:
        attributes["headgate.cost_dollars"] = outcome.cost_nanos / 1e9
    if outcome.http_status == 0:
        del attributes["http.response.status_code"]
    problem = error_type(outcome.status, outcome.http_status)
    return attributes if problem is None else attributes | {"error.type": problem}


def _assigned(exchange: Exchange, assignments: tuple[AssignedTo, ...]) -> Attributes:
    config = exchange.route.config
    attributes: Attributes = {}
    for assigned in assignments:
        canary, test = config.experiment, config.test
        if canary is not None and canary.experiment_id == assigned.experiment_id:
            attributes["headgate.experiment"] = canary.key
            attributes["headgate.role"] = assigned.role.label
        elif test is not None and test.experiment_id == assigned.experiment_id:
            attributes["headgate.test"] = test.key
            attributes["headgate.test_variant"] = test.variants[assigned.variant_number]
    return attributes
