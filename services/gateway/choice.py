"""Which variant serves a request: the unit, its assignment, and the evidence lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.domain.assignment import BASIS_POINTS, basis_point, is_treatment
from services.domain.configuration import ExperimentConfig, UnitFallback
from services.domain.events import AssignedTo, Role, UnitSource
from services.gateway.body import RequestBody
from services.gateway.leases import is_blind
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


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request gets. ``assigned`` is None unless its unit really was randomised."""

    variant_key: str
    experiment: ExperimentConfig | None = None
    assigned: AssignedTo | None = None
    blind: bool = False


def choose(route: ServedRoute, unit_id: str, measured_at: Mapping[UUID, float], now: float) -> Choice:
    """Assign a unit to a variant of the route. ``now`` in seconds since the epoch."""
    experiment = route.config.experiment
    if experiment is None:
        return Choice(route.config.stable)
    share_bp = experiment.treatment_share_bp
    blind = is_blind(experiment, measured_at, now)
    if not 0 < share_bp < BASIS_POINTS or (blind and experiment.on_blind != "hold"):
        return Choice(route.config.stable, experiment, None, blind)
    if is_treatment(basis_point(route.salt, unit_id), share_bp):
        variant_key, role, propensity_bp = experiment.treatment, Role.TREATMENT, share_bp
    else:
        variant_key, role, propensity_bp = experiment.control, Role.CONTROL, BASIS_POINTS - share_bp
    assigned = AssignedTo(experiment.experiment_id, experiment.phase, role, propensity_bp)
    return Choice(variant_key, experiment, assigned, blind)
