"""What callers get to see."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel

from services.api.reliability import BreakerBody, ProbeBody
from services.api.schemas import PricesBody
from services.domain.allocation import Allocation
from services.domain.assignment import BASIS_POINTS
from services.domain.configuration import (
    EndpointAuth,
    EndpointConfig,
    EndpointKind,
    SelectionRule,
    UnitFallback,
    VariantConfig,
)
from services.domain.decision import Decision, DecisionState
from services.domain.events import DecisionAction
from services.domain.experiment import Conclusion, Experiment, ExperimentKind, ExperimentStatus
from services.storage.credentials import Credential
from services.storage.routes import AllocationRecord, Route

Item = TypeVar("Item")


class Items(BaseModel, Generic[Item]):
    """A list of things."""

    items: list[Item]


class EndpointView(BaseModel):
    """A provider deployment."""

    key: str
    kind: EndpointKind
    base_url: str
    secret: str | None
    auth: EndpointAuth
    api_version: str | None
    model: str | None
    priority: int
    weight: int
    connect_timeout_seconds: float
    first_byte_timeout_seconds: float
    total_timeout_seconds: float
    stream_usage: bool
    drained: bool
    max_concurrency: int | None
    breaker: BreakerBody | None
    probe: ProbeBody | None
    prices: PricesBody | None

    @classmethod
    def of(cls, endpoint: EndpointConfig) -> EndpointView:
        """Return what callers see of an endpoint."""
        settings = {
            "breaker": BreakerBody.of(endpoint.breaker),
            "probe": ProbeBody.of(endpoint.probe),
            "prices": PricesBody.of(endpoint.prices),
        }
        return cls(kind=endpoint.endpoint_kind, **(msgspec.structs.asdict(endpoint) | settings))


class VariantView(BaseModel):
    """A configuration to serve."""

    key: str
    endpoints: list[str]
    model: str | None
    system_prompt: str | None
    parameters: dict[str, Any]
    selection: SelectionRule

    @classmethod
    def of(cls, variant: VariantConfig) -> VariantView:
        """Return what callers see of a variant."""
        return cls(endpoints=list(variant.endpoint_keys), **msgspec.structs.asdict(variant))


class AllocationView(BaseModel):
    """A split of a route's traffic; ``weights`` are fractions by variant and sum to 1.

    ``experiment_id``, ``treatment`` and ``treatment_share`` are a canary's, ``ab_test_id`` is an A/B test's.
    """

    version: int
    stable: str
    treatment: str | None
    treatment_share: float
    step: int
    weights: dict[str, float]
    experiment_id: UUID | None
    ab_test_id: UUID | None

    @classmethod
    def of(cls, allocation: Allocation) -> AllocationView:
        """Return what callers see of an allocation."""
        return cls(
            version=allocation.version,
            stable=allocation.stable,
            treatment=allocation.treatment,
            treatment_share=allocation.treatment_share_bp / BASIS_POINTS,
            step=allocation.step,
            weights=allocation.weights,
            experiment_id=allocation.experiment_id,
            ab_test_id=None if allocation.test is None else allocation.test.experiment_id,
        )


class PastAllocationView(AllocationView):
    """An allocation with who made it, when and why."""

    actor: str
    reason: str
    decision_id: UUID | None
    created_at: datetime

    @classmethod
    def of_record(cls, record: AllocationRecord) -> PastAllocationView:
        """Return what callers see of a recorded allocation."""
        return cls(
            **AllocationView.of(record.allocation).model_dump(),
            actor=record.actor,
            reason=record.reason,
            decision_id=record.decision_id,
            created_at=record.created_at,
        )


class RouteView(BaseModel):
    """A route and how its traffic is split now."""

    key: str
    unit_fallback: UnitFallback
    allocation: AllocationView
    created_at: datetime

    @classmethod
    def of(cls, route: Route) -> RouteView:
        """Return what callers see of a route."""
        return cls(
            key=route.key,
            unit_fallback=route.unit_fallback,
            allocation=AllocationView.of(route.allocation),
            created_at=route.created_at,
        )


class KeyView(BaseModel):
    """A client's key, without the key."""

    key_id: str
    label: str
    routes: list[str] | None
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, credential: Credential) -> KeyView:
        """Return what callers see of a key later on."""
        return cls(
            key_id=credential.key_id,
            label=credential.label,
            routes=None if credential.routes is None else list(credential.routes),
            created_at=credential.created_at,
            revoked_at=credential.revoked_at,
        )


class NewKeyView(KeyView):
    """A client's key, shown this once."""

    key: str


class WaitingFor(BaseModel):
    """What an experiment is waiting for: a sentence, and the same as data.

    ``rule`` is the policy's rule that holds, or the state that keeps it from being evaluated.
    """

    sentence: str
    rule: str
    have: float | None = None
    need: float | None = None
    verdicts: list[dict[str, Any]] = []
    evaluation: dict[str, Any] | None = None
    evaluated_at: datetime | None = None


class VariantShare(BaseModel):
    """A variant in its role in an experiment; ``share`` is of the route's units, at the moment."""

    key: str
    role: Literal["control", "treatment"]
    share: float


class ExperimentView(BaseModel):
    """An experiment: its definition and where it stands.

    ``treatment`` and ``treatment_share`` are for experiments with one treatment; ``variants`` has them all.
    """

    key: str
    experiment_id: UUID
    route: str
    kind: ExperimentKind
    status: ExperimentStatus
    conclusion: Conclusion | None
    control: str
    treatment: str | None
    treatment_share: float | None
    variants: list[VariantShare]
    promoted: str | None
    phase: int
    definition: dict[str, Any]
    allocation: AllocationView
    waiting_for: WaitingFor | None
    concluded_because: str | None
    created_at: datetime
    started_at: datetime | None
    step_started_at: datetime | None
    stopped_at: datetime | None

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        allocation: Allocation,
        waiting_for: WaitingFor | None,
        concluded_by: Decision | None,
    ) -> ExperimentView:
        """Return what callers see of an experiment; ``allocation`` is its route's."""
        promoted = None
        if experiment.conclusion == "promoted":
            named = None if concluded_by is None else concluded_by.variant_key
            promoted = named or experiment.treatments[0]
        shares = _shares(experiment, allocation, promoted)
        control, *treatments = (
            VariantShare(key=key, role="treatment" if i else "control", share=share)
            for i, (key, share) in enumerate(zip(experiment.variant_keys, shares, strict=True))
        )
        only = treatments[0] if len(treatments) == 1 else None
        standing = asdict(experiment)
        return cls(
            **{name: standing[name] for name in _STANDING},
            route=experiment.route_key,
            treatment=None if only is None else only.key,
            treatment_share=None if only is None else only.share,
            variants=[control, *treatments],
            promoted=promoted,
            definition=msgspec.to_builtins(experiment.definition),
            allocation=AllocationView.of(allocation),
            waiting_for=waiting_for,
            concluded_because=_because(concluded_by),
        )


_STANDING = ExperimentView.model_fields.keys() & Experiment.__dataclass_fields__.keys() - {"definition"}


def _because(decision: Decision | None) -> str | None:
    return None if decision is None else f"{decision.reason} (decided by {decision.actor})"


def _shares(experiment: Experiment, allocation: Allocation, promoted: str | None) -> list[float]:
    """Return the share of the route's units that each variant has through the experiment."""
    test = allocation.test
    if test is not None and test.experiment_id == experiment.experiment_id:
        taking_part = test.traffic_bp / BASIS_POINTS
        return [taking_part * weight / BASIS_POINTS for weight in test.weights_bp]
    if allocation.experiment_id == experiment.experiment_id:
        return [allocation.weights_bp[key] / BASIS_POINTS for key in experiment.variant_keys]
    return [float(key == promoted) for key in experiment.variant_keys]


class DecisionView(BaseModel):
    """A decision and what came of it."""

    decision_id: UUID
    experiment_id: UUID
    phase: int
    action: DecisionAction
    rule: str
    reason: str
    actor: str
    allocation_version: int
    variant: str | None
    next_step: int | None
    next_share: float | None
    evidence: dict[str, Any]
    method: str
    state: DecisionState
    state_reason: str | None
    applied_version: int | None
    decided_at: datetime
    applied_at: datetime | None

    @classmethod
    def of(cls, decision: Decision) -> DecisionView:
        """Return what callers see of a decision."""
        share_bp = decision.next_share_bp
        return cls(
            next_share=None if share_bp is None else share_bp / BASIS_POINTS,
            variant=decision.variant_key,
            **asdict(decision),
        )


class AuditView(BaseModel):
    """One change."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None


class Problem(BaseModel):
    """What every error looks like (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[dict[str, str]] = []
