"""A/B tests: two or more variants side by side, compared on metrics that their team names.

The first variant is the control, the route's stable variant. Units outside the traffic share, and units of a
test that is stopped, get the control and count nowhere.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from services.domain.assignment import BASIS_POINTS
from services.domain.bucket_table import SHARE
from services.domain.configuration import OnBlind, SegmentConfig
from services.domain.errors import InvalidDefinition
from services.domain.metric import BUILT_IN, Column, Metric, check_metric, columns_for
from services.domain.request_headers import check_header
from services.domain.restraint import Mode

OnWinner = Literal["hold", "promote"]

MAX_VARIANTS = 10
MAX_SEGMENTS = 5
MAX_SEGMENT_VALUES = 20
OTHER = "other"
"""The segment of the values that came after the first ``MAX_SEGMENT_VALUES``."""
RESERVED_ATTRIBUTE = SHARE.removesuffix("=")
"""What the sums of a canary are kept by: nobody's segment may be taken for one of its steps."""

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,30}")


class WeightedVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variant and its share of the test's units, a fraction."""

    key: str
    weight: float


class TestGuardrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric that can only stop. ``margin`` is how much worse a treatment may be, in the metric's unit."""

    __test__ = False
    metric: str = "error_rate"
    margin: float = 0.0


class ABTestDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An A/B test as its team defines it.

    ``metrics`` holds the definition of every metric that is named, as it was when the test was created:
    changing a metric later changes no running test.
    """

    variants: tuple[WeightedVariant, ...]
    goals: tuple[str, ...]
    secondary: tuple[str, ...] = ()
    guardrails: tuple[TestGuardrail, ...] = (TestGuardrail(),)
    metrics: tuple[Metric, ...] = ()
    traffic_share: float = 1.0
    planned_duration_minutes: int = 14 * 24 * 60
    minimum_units: int = 1_000
    """Of each variant, before a result is more than a first impression."""
    alpha: float = 0.05
    alpha_guardrail: float = 0.01
    on_winner: OnWinner = "hold"
    segments: tuple[SegmentConfig, ...] = ()
    covariate_header: str | None = None
    """A request header with a number known before the test, of the unit, that reduces variance (CUPED)."""
    on_blind: OnBlind = "control"
    lease_limit_seconds: float = 60.0
    mode: Mode = "act"

    @property
    def control(self) -> str:
        """The variant the others are compared to."""
        return self.variants[0].key

    @property
    def weights_bp(self) -> tuple[int, ...]:
        """The variants' shares in basis points, in order; they sum to 10,000."""
        return tuple(round(variant.weight * BASIS_POINTS) for variant in self.variants)

    @property
    def traffic_bp(self) -> int:
        """The share of the route's units that take part, in basis points."""
        return round(self.traffic_share * BASIS_POINTS)

    def with_control(self, control: str) -> ABTestDefinition:
        """Return the same test against another control."""
        first = msgspec.structs.replace(self.variants[0], key=control)
        return msgspec.structs.replace(self, variants=(first, *self.variants[1:]))

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is summed for this test."""
        return columns_for(self.metrics)

    def metric(self, key: str) -> Metric:
        """Return the definition of a metric of this test."""
        return next(metric for metric in self.metrics if metric.key == key)


def check_ab_test(definition: ABTestDefinition, *, control: str) -> None:
    """Raise InvalidDefinition for the first rule the definition breaks."""
    _check_variants(definition, control)
    _check_metrics(definition)
    _check_segments(definition)
    check_header("covariate_header", definition.covariate_header)
    if not 0 < definition.alpha < 1:
        raise InvalidDefinition("alpha", "must be above 0 and below 1")
    if not 0 < definition.alpha_guardrail < 0.5:
        raise InvalidDefinition("alpha_guardrail", "must be above 0 and below 0.5; it is a one-sided test's")
    check_traffic_share(definition.traffic_share)
    if definition.planned_duration_minutes < 1:
        raise InvalidDefinition("planned_duration_minutes", "must be at least 1")
    if definition.minimum_units < 1:
        raise InvalidDefinition("minimum_units", "must be at least 1")
    if definition.lease_limit_seconds < 5:
        raise InvalidDefinition("lease_limit_seconds", "must be at least 5")


def check_traffic_share(share: float) -> None:
    """Raise InvalidDefinition where the share of the route's units that take part is none."""
    share_bp = share * BASIS_POINTS
    if not 0 < share <= 1 or abs(round(share_bp) - share_bp) > 1e-6:
        raise InvalidDefinition("traffic_share", "must be above 0 and at most 1, exact to 0.0001")


def _check_variants(definition: ABTestDefinition, control: str) -> None:
    keys = [variant.key for variant in definition.variants]
    if not 2 <= len(keys) <= MAX_VARIANTS:
        raise InvalidDefinition("variants", f"has {len(keys)}; a test compares 2 to {MAX_VARIANTS}")
    if len(set(keys)) != len(keys):
        raise InvalidDefinition("variants", "names a variant twice")
    if keys[0] != control:
        raise InvalidDefinition("variants[0].key", f"must be the route's stable variant, {control!r}")
    check_weights(definition.variants)


def check_weights(variants: tuple[WeightedVariant, ...]) -> None:
    """Raise InvalidDefinition where the weights are no split of the test's units."""
    for i, variant in enumerate(variants):
        weight = variant.weight * BASIS_POINTS
        if not 0 < variant.weight < 1 or abs(round(weight) - weight) > 1e-6:
            raise InvalidDefinition(
                f"variants[{i}].weight", "must be above 0 and below 1, exact to 0.0001 (one basis point)"
            )
    total_bp = sum(round(variant.weight * BASIS_POINTS) for variant in variants)
    if total_bp != BASIS_POINTS:
        total = total_bp / BASIS_POINTS
        raise InvalidDefinition("variants", f"have weights that do not sum to 1 but to {total:g}")


def _check_metrics(definition: ABTestDefinition) -> None:
    if not definition.goals:
        raise InvalidDefinition("goals", "is empty; name at least one metric the test is about")
    known = {metric.key: metric for metric in definition.metrics}
    named = [("goals", key) for key in definition.goals]
    named += [("secondary", key) for key in definition.secondary]
    named += [("guardrails", guardrail.metric) for guardrail in definition.guardrails]
    for field, key in named:
        if key not in known:
            raise InvalidDefinition(
                field, f"names {key!r}; no such metric, there are {', '.join({**BUILT_IN, **known})}"
            )
        check_metric(known[key])
    for field in ("goals", "secondary"):
        keys = getattr(definition, field)
        if len(set(keys)) != len(keys):
            raise InvalidDefinition(field, "names a metric twice")
    both = sorted(set(definition.goals) & set(definition.secondary))
    if both:
        raise InvalidDefinition("secondary", f"names {both[0]!r}, which is a goal already")
    for i, guardrail in enumerate(definition.guardrails):
        if not guardrail.margin >= 0:
            raise InvalidDefinition(f"guardrails[{i}].margin", "must be at least 0")
        if known[guardrail.metric].kind == "quantile":
            raise InvalidDefinition(
                f"guardrails[{i}].metric", "is a quantile; a guardrail needs a mean, ratio or proportion"
            )


def _check_segments(definition: ABTestDefinition) -> None:
    if len(definition.segments) > MAX_SEGMENTS:
        raise InvalidDefinition("segments", f"has more than {MAX_SEGMENTS}")
    names = [segment.attribute for segment in definition.segments]
    if len(set(names)) != len(names):
        raise InvalidDefinition("segments", "names an attribute twice")
    for i, segment in enumerate(definition.segments):
        name = segment.attribute
        check_header(f"segments[{i}].header", segment.header)
        if not _ATTRIBUTE.fullmatch(name):
            raise InvalidDefinition(f"segments[{i}].attribute", f"{name!r} is not of a-z, 0-9 and _")
        if name == RESERVED_ATTRIBUTE:
            raise InvalidDefinition(
                f"segments[{i}].attribute",
                f"{name!r} is what the steps of a canary are called; choose another",
            )
