"""What callers get to see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from services.api.endpoint_bodies import PricesBody
from services.api.etags import Resource
from services.api.limit_bodies import LimitsBody
from services.api.reliability import BreakerBody, ProbeBody
from services.domain.allocation import Allocation, ShadowSplit
from services.domain.assignment import BASIS_POINTS
from services.domain.blue_green import slots_of
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
from services.domain.restraint import Freeze
from services.storage.routes import AllocationRecord, Route

Item = TypeVar("Item")


class Items(BaseModel, Generic[Item]):
    """A list of things."""

    items: list[Item]
    next_cursor: str | None = Field(default=None, description="The next page's `cursor`; null at the end")


class EndpointView(Resource):
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


class VariantView(Resource):
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


class ShadowShare(BaseModel):
    """A shadow's part of a route: copies of a fraction of the requests, none while it is paused."""

    experiment_id: UUID
    variant: str
    sample_share: float

    @classmethod
    def of(cls, split: ShadowSplit | None) -> ShadowShare | None:
        """Return what callers see of a shadow's part."""
        if split is None:
            return None
        share = split.sample_bp / BASIS_POINTS
        return cls(experiment_id=split.experiment_id, variant=split.variant, sample_share=share)


class AllocationView(BaseModel):
    """A split of a route's traffic; ``weights`` are fractions by variant and sum to 1.

    ``experiment_id``, ``treatment`` and ``treatment_share`` are a canary's, ``ab_test_id`` is an A/B test's,
    ``shadow`` is who gets copies of requests.
    """

    version: int
    stable: str
    treatment: str | None
    treatment_share: float
    step: int
    weights: dict[str, float]
    experiment_id: UUID | None
    ab_test_id: UUID | None
    shadow: ShadowShare | None

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
            shadow=ShadowShare.of(allocation.shadow),
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


class FreezeView(BaseModel):
    """A stop of every automatic change but rollbacks; `scope` is a route's key, or `*` for all routes."""

    scope: str
    actor: str
    reason: str
    created_at: datetime

    @classmethod
    def of(cls, freeze: Freeze) -> FreezeView:
        """Return what callers see of a freeze."""
        return cls(**asdict(freeze))


class SlotView(BaseModel):
    """A slot of a route. `variant` is null where it is empty; `share` is what it serves."""

    variant: str | None
    is_active: bool
    share: float


class SlotsView(BaseModel):
    """The two slots of a route: one serves; the other is empty, or holds what a deployment put there."""

    blue: SlotView
    green: SlotView

    @classmethod
    def of(cls, allocation: Allocation) -> SlotsView:
        """Return what callers see of an allocation's slots."""
        weights = allocation.weights
        blue, green = (
            SlotView(
                variant=slot.variant, is_active=slot.is_active, share=weights.get(slot.variant or "", 0.0)
            )
            for slot in slots_of(allocation)
        )
        return cls(blue=blue, green=green)


class RouteView(Resource):
    """A route and how its traffic is split now. ``freezes``: why nothing but a rollback happens by itself."""

    volatile: ClassVar[frozenset[str]] = frozenset({"freezes"})

    key: str
    unit_fallback: UnitFallback
    allocation: AllocationView
    slots: SlotsView
    limits: LimitsBody | None
    unit_limits: LimitsBody | None
    record_content: bool
    freezes: list[FreezeView]
    created_at: datetime

    @classmethod
    def of(cls, route: Route, freezes: Iterable[Freeze]) -> RouteView:
        """Return what callers see of a route."""
        return cls(
            key=route.key,
            unit_fallback=route.unit_fallback,
            allocation=AllocationView.of(route.allocation),
            slots=SlotsView.of(route.allocation),
            limits=LimitsBody.of(route.limits),
            unit_limits=LimitsBody.of(route.unit_limits),
            record_content=route.record_content,
            freezes=[FreezeView.of(freeze) for freeze in freezes],
            created_at=route.created_at,
        )


class DecisionView(Resource):
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
