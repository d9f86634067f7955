"""Which variant serves a request: the unit, its assignment, and the evidence lease."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from services.domain.assignment import BASIS_POINTS, is_treatment
from services.domain.configuration import UnitFallback
from services.domain.events import Role, UnitSource
from services.gateway.body import RequestBody
from services.gateway.choices import Choice
from services.gateway.rejections import InvalidRequest
from services.gateway.view import ServedRoute


def find_unit(
    header: bytes | None, body: RequestBody, request_id: str, fallback: UnitFallback
) -> tuple[str, UnitSource]:
    """Return the unit of a request and where it was found. Raises InvalidRequest where there must be one."""
    if header:
        return header.decode("utf-8", "backslashreplace"), UnitSource.HEADER
    if unit := body.text("safety_identifier"):
        return unit, UnitSource.SAFETY_IDENTIFIER
    if unit := body.text("user"):
        return unit, UnitSource.USER
    if fallback == "request":
        return request_id, UnitSource.REQUEST
    raise InvalidRequest(
        f"route {body.model} needs to know whom the request is for; "
        "send the header x-headgate-unit, or set `safety_identifier` or `user` in the body",
        "safety_identifier",
    )


def choose(route: ServedRoute, unit_id: str, measured_at: Mapping[UUID, float], now: float) -> Choice:
    """Assign a unit to a variant of the route. ``now`` in seconds since the epoch.

    The A/B test is laid over the canary: whom it gives its control, or nothing, is served as without it.
    """
    test, choices = route.test, route.choices
    role, blind = _role(route, unit_id, measured_at, now)
    if test is None:
        if blind:
            return choices.of(role, blind)
        if role is None:
            return choices.plain
        return choices.treatment if role is Role.TREATMENT else choices.control
    test_blind = test.is_blind(measured_at, now)
    index = None if test_blind and test.config.on_blind != "hold" else test.variant_of(unit_id)
    return choices.of(role, blind, index, test_blind)


def _role(
    route: ServedRoute, unit_id: str, measured_at: Mapping[UUID, float], now: float
) -> tuple[Role | None, bool]:
    """Return the unit's role in the canary, None where nobody is assigned, and whether nobody measures it."""
    share_bp = route.share_bp
    blind = route.is_blind(measured_at, now)
    if not 0 < share_bp < BASIS_POINTS or (blind and not route.holds_blind):
        return None, blind
    treated = is_treatment(route.split.basis_point(unit_id), share_bp)
    return (Role.TREATMENT if treated else Role.CONTROL), blind
