"""What callers send to draft an A/B test, and to change its split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, ConfigDict, Field

from services.api.schemas import Body, Key, VerbBody, distinct
from services.domain.ab_test import MAX_SEGMENTS, MAX_VARIANTS, ABTestDefinition, OnWinner, TestGuardrail
from services.domain.assignment import BASIS_POINTS
from services.domain.configuration import OnBlind
from services.domain.metric import Metric
from services.domain.restraint import Mode

_DEFAULT = ABTestDefinition(variants=(), goals=())


class WeightedVariantBody(Body):
    """A variant and its share of the test's units."""

    key: str
    weight: float | None = Field(
        default=None, description="A fraction, exact to 0.0001; equal shares where no variant has one"
    )


class TestGuardrailBody(Body):
    """A metric that can only stop the test."""

    __test__ = False
    metric: str = TestGuardrail().metric
    margin: float = Field(
        default=TestGuardrail().margin, description="How much worse a treatment may be, in the metric's unit"
    )


class SegmentBody(Body):
    """An attribute that results are also shown by."""

    attribute: str
    header: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9-]+$",
        description="The request header with the attribute's value; the model that answered, when absent",
    )


_Keys = Annotated[list[str], Field(max_length=20), AfterValidator(distinct)]


class NewABTest(Body):
    """An A/B test to draft. The first variant is its control: the route's stable variant."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "chat-short-prompt",
                "route": "chat",
                "kind": "ab_test",
                "variants": [
                    {"key": "small-model", "weight": 0.5},
                    {"key": "short-prompt", "weight": 0.5},
                ],
                "goals": ["satisfaction_rate", "cost"],
                "secondary": ["latency_p95", "completion_tokens"],
                "guardrails": [{"metric": "error_rate", "margin": 0.01}],
                "traffic_share": 0.5,
                "planned_duration_minutes": 10_080,
                "segments": [{"attribute": "tier", "header": "x-tenant-tier"}],
            }
        }
    )
    key: Key
    route: str
    kind: Literal["ab_test"]
    variants: Annotated[list[WeightedVariantBody], Field(max_length=MAX_VARIANTS)] = Field(
        description="Two or more; the first is the control, and must be the route's stable variant"
    )
    goals: _Keys = Field(description="Keys of the metrics the test is about; GET /v1/metrics lists them")
    secondary: _Keys = Field(default=[], description="Metrics that are shown and decide nothing")
    guardrails: Annotated[list[TestGuardrailBody], Field(max_length=20)] = Field(
        default=[TestGuardrailBody()]
    )
    traffic_share: float = Field(
        default=_DEFAULT.traffic_share, description="The fraction of the route's units that take part"
    )
    planned_duration_minutes: int = Field(
        default=_DEFAULT.planned_duration_minutes, description="When fixed-horizon results may be read"
    )
    minimum_units: int = Field(
        default=_DEFAULT.minimum_units, description="Of each variant, before anything is concluded"
    )
    alpha: float = _DEFAULT.alpha
    alpha_guardrail: float = _DEFAULT.alpha_guardrail
    on_winner: OnWinner = Field(
        default=_DEFAULT.on_winner,
        description="`promote` a treatment that won by itself, or `hold` and say so",
    )
    segments: Annotated[list[SegmentBody], Field(max_length=MAX_SEGMENTS)] = Field(default=[])
    covariate_header: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9-]+$",
        description="A request header with a number known of the unit before the test, within ±1,000,000: it "
        "narrows intervals. Send it for every unit, or centre it, since a missing one counts as 0",
    )
    on_blind: OnBlind = _DEFAULT.on_blind
    lease_limit_seconds: float = _DEFAULT.lease_limit_seconds
    mode: Mode = Field(
        default=_DEFAULT.mode,
        description="`observe`: everything is computed and shown, and nothing is done by itself",
    )

    def named_metrics(self) -> Iterable[tuple[str, str]]:
        """Return every metric that is named, after the field that names it."""
        for field, keys in (("goals", self.goals), ("secondary", self.secondary)):
            yield from ((f"{field}[{i}]", key) for i, key in enumerate(keys))
        yield from ((f"guardrails[{i}].metric", one.metric) for i, one in enumerate(self.guardrails))

    def definition(self, metrics: Sequence[Metric]) -> ABTestDefinition:
        """Return the test as the domain defines it, with the definitions of its metrics."""
        fields = self.model_dump(exclude={"key", "route", "kind", "variants"})
        weights = weights_of(self.variants, [one.key for one in self.variants])
        variants = [{"key": one.key, "weight": weights[one.key]} for one in self.variants]
        rest = {"variants": variants, "metrics": [msgspec.to_builtins(metric) for metric in metrics]}
        return msgspec.convert(fields | rest, ABTestDefinition)


class SplitBody(VerbBody):
    """Another split of a running A/B test. It begins a new phase, whose evidence starts from nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "variants": [
                    {"key": "small-model", "weight": 0.8},
                    {"key": "short-prompt", "weight": 0.2},
                ],
                "traffic_share": 1.0,
                "reason": "the first days looked harmless",
            }
        }
    )
    variants: Annotated[list[WeightedVariantBody], Field(max_length=MAX_VARIANTS)] | None = Field(
        default=None, description="All variants of the test with their new weights; as they were when absent"
    )
    traffic_share: float | None = Field(
        default=None, description="The fraction of the route's units that take part; as it was when absent"
    )


def weights_of(variants: Sequence[WeightedVariantBody], keys: Sequence[str]) -> Mapping[str, float]:
    """Return the variants' weights by key: as sent, or equal shares where none was.

    What does not divide goes to the control. A weight that alone is missing is 0, which the domain refuses.
    """
    if any(variant.weight is not None for variant in variants):
        return {variant.key: variant.weight or 0.0 for variant in variants}
    each, rest = divmod(BASIS_POINTS, max(len(keys), 1))
    return {key: (each + (rest if i == 0 else 0)) / BASIS_POINTS for i, key in enumerate(keys)}
