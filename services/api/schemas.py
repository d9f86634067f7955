"""What callers send, checked field by field. Unknown fields are refused by name.

Rules that belong to the domain (steps that rise, a control that differs) are checked there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from services.api.reliability import BreakerBody, ProbeBody
from services.domain.configuration import (
    ConfigVersion,
    EndpointAuth,
    EndpointConfig,
    EndpointKind,
    OnBlind,
    SelectionRule,
    UnitFallback,
    VariantConfig,
)
from services.domain.experiment import (
    CanaryDefinition,
    CanaryPlan,
    DeadlinePolicy,
    GuardrailMetric,
    KillSwitch,
    SequentialPolicy,
    ThresholdPolicy,
)

Value = TypeVar("Value")
_SECRET = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|command:[A-Za-z0-9_-]+)")
_OWNED_BY_HEADGATE = frozenset({"model", "messages", "stream", "stream_options"})
MAX_VARIANT_PART_BYTES = 150_000
"""Of a variant's prompt and of its parameters: a route's two variants must fit into one Kafka record."""


def _reference(secret: str) -> str:
    # The message must not repeat what was sent: it may be the secret itself.
    if not _SECRET.fullmatch(secret):
        raise ValueError(
            "must be a reference, env:NAME, file:/path or command:NAME; secrets themselves are never stored"
        )
    return secret


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be http(s)://host[:port][/path], without credentials, query or fragment")
    return url.rstrip("/")


def _free_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(_OWNED_BY_HEADGATE & parameters.keys())
    if taken:
        raise ValueError(f"must not set {', '.join(taken)}: the variant or the caller does")
    return _storable(parameters)


def _storable(value: Value) -> Value:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:  # also UnicodeEncodeError, for half a surrogate pair
        raise ValueError("holds a number or a character that JSON cannot carry") from None
    if rb"\u0000" in text:
        raise ValueError("holds a NUL character, which Postgres cannot store")
    if len(text) > MAX_VARIANT_PART_BYTES:
        raise ValueError(f"is over {MAX_VARIANT_PART_BYTES:,} bytes")
    return value


def _distinct(items: list[str]) -> list[str]:
    if len(set(items)) != len(items):
        raise ValueError("names the same thing twice")
    return items


Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
RouteKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,126}$",
        description="What clients put in `model`: letters, digits and . _ - : /",
    ),
]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Reason = Annotated[str, Field(min_length=1, max_length=1_000)]


class Body(BaseModel):
    """What every request body has in common."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class EndpointBody(Body):
    """A provider deployment."""

    kind: EndpointKind
    base_url: Annotated[str, Field(max_length=2_000), AfterValidator(_http_url)]
    secret: Annotated[str, Field(max_length=1_000), AfterValidator(_reference)] | None = Field(
        default=None, description="A reference to the provider's key: env:NAME, file:/path or command:NAME"
    )
    auth: EndpointAuth = Field(
        default="default", description="Send the secret as the kind does, as `api-key`, or as a bearer token"
    )
    api_version: str | None = Field(default=None, max_length=100)
    model: str | None = Field(
        default=None, max_length=200, description="Overrides the variant's; Azure's deployment name"
    )
    priority: int = Field(default=0, ge=0, description="0 is asked first")
    weight: int = Field(default=1, ge=1, description="Share of requests among endpoints of one priority")
    connect_timeout_seconds: Seconds = 5.0
    first_byte_timeout_seconds: Seconds = 60.0
    total_timeout_seconds: Seconds = 600.0
    stream_usage: bool = Field(
        default=True, description="Ask streams for their token counts, where the provider knows the option"
    )
    max_concurrency: int | None = Field(
        default=None, ge=1, description="The most requests under way at a time, for each gateway"
    )
    breaker: BreakerBody | None = Field(default=None, description="The release's defaults when absent")
    probe: ProbeBody | None = Field(default=None, description="Ask it regularly; leave it out when it fails")

    def config(self, key: str, version: ConfigVersion) -> EndpointConfig:
        """Return the endpoint as it is stored and published."""
        fields = self.model_dump(exclude={"kind"}) | {"endpoint_kind": self.kind}
        return msgspec.convert(fields | {"key": key, "version": version}, EndpointConfig)


class NewEndpoint(EndpointBody):
    """An endpoint to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "openai-main",
                "kind": "openai",
                "base_url": "https://api.openai.com/v1",
                "secret": "env:OPENAI_API_KEY",
            }
        }
    )
    key: Key


class VariantBody(Body):
    """A configuration to serve."""

    endpoints: Annotated[list[str], Field(min_length=1, max_length=100), AfterValidator(_distinct)]
    model: str | None = Field(default=None, min_length=1, max_length=200)
    system_prompt: Annotated[str, AfterValidator(_storable)] | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(_free_parameters)] = {}
    selection: SelectionRule = Field(
        default="weighted",
        description="Among endpoints of one priority: by weight, or the less loaded of two drawn ones",
    )

    def config(self, key: str) -> VariantConfig:
        """Return the variant as it is stored and published."""
        return VariantConfig(
            key=key,
            endpoint_keys=tuple(self.endpoints),
            model=self.model,
            system_prompt=self.system_prompt,
            parameters=self.parameters,
            selection=self.selection,
        )


class NewVariant(VariantBody):
    """A variant to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"key": "small-model", "endpoints": ["openai-main"], "model": "gpt-4.1-mini"}
        }
    )
    key: Key


class NewRoute(Body):
    """A route to create."""

    model_config = ConfigDict(json_schema_extra={"example": {"key": "chat", "stable": "small-model"}})
    key: RouteKey
    stable: str = Field(description="The variant that serves what no experiment does")
    unit_fallback: UnitFallback = Field(
        default="request", description="Without a unit: randomise by `request`, or `reject` with a 400"
    )


class NewKey(Body):
    """A client's key to create."""

    model_config = ConfigDict(json_schema_extra={"example": {"label": "checkout service"}})
    label: str = Field(min_length=1, max_length=200)
    routes: Annotated[list[str], Field(min_length=1, max_length=1_000), AfterValidator(_distinct)] | None = (
        Field(default=None, description="The routes it may use; all of them when absent")
    )


class PlanBody(Body):
    """How a canary goes up."""

    steps: list[float] = list(CanaryPlan().steps)
    step_minimum_seconds: float = CanaryPlan().step_minimum_seconds
    step_minimum_units: int = CanaryPlan().step_minimum_units
    planned_duration_minutes: int = CanaryPlan().planned_duration_minutes
    deadline_policy: DeadlinePolicy = CanaryPlan().deadline_policy


class GuardrailBody(Body):
    """A metric that can only stop."""

    metric: GuardrailMetric = "error_rate"
    margin: float = 0.0


class SequentialPolicyBody(Body):
    """Decide on always-valid evidence."""

    type: Literal["sequential"] = "sequential"
    alpha_rollback: float = SequentialPolicy().alpha_rollback
    alpha_promote: float = SequentialPolicy().alpha_promote
    margin_promote: float = SequentialPolicy().margin_promote
    guardrails: list[GuardrailBody] = [GuardrailBody()]


class ThresholdPolicyBody(Body):
    """Decide by a windowed rule."""

    type: Literal["threshold"]
    window_minutes: int = ThresholdPolicy().window_minutes
    interval_seconds: float = ThresholdPolicy().interval_seconds
    margin: float = ThresholdPolicy().margin
    minimum_requests: int = ThresholdPolicy().minimum_requests


class KillSwitchBody(Body):
    """Pull the treatment at once when it alone is down."""

    error_rate: float = KillSwitch().error_rate
    minimum_requests: int = KillSwitch().minimum_requests


def _policy_type(policy: Any) -> str | None:
    return policy.get("type", "sequential") if isinstance(policy, dict) else getattr(policy, "type", None)


POLICY_TYPES: Sequence[str] = ("sequential", "threshold")
PolicyBody = Annotated[
    Annotated[SequentialPolicyBody, Tag("sequential")] | Annotated[ThresholdPolicyBody, Tag("threshold")],
    Discriminator(_policy_type),
]


class NewExperiment(Body):
    """A canary to draft. Its control is the route's stable variant at the moment it is started."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "chat-new-model",
                "route": "chat",
                "kind": "canary",
                "treatment": "new-model",
                "plan": {"steps": [0.05, 0.25, 0.5], "step_minimum_seconds": 300},
                "policy": {"type": "sequential", "alpha_rollback": 0.01},
            }
        }
    )
    key: Key
    route: str
    kind: Literal["canary"] = "canary"
    treatment: str
    plan: PlanBody = PlanBody()
    policy: PolicyBody = SequentialPolicyBody()
    kill_switch: KillSwitchBody = KillSwitchBody()
    on_blind: OnBlind = "control"
    lease_limit_seconds: float = CanaryDefinition(treatment="").lease_limit_seconds

    @property
    def definition(self) -> CanaryDefinition:
        """The canary as the domain defines it."""
        return msgspec.convert(self.model_dump(exclude={"key", "route", "kind"}), CanaryDefinition)


class VerbBody(Body):
    """What every verb may be given."""

    reason: Reason = "asked for by hand"


class ShareBody(VerbBody):
    """The treatment's share of the route's traffic, set by hand."""

    model_config = ConfigDict(json_schema_extra={"example": {"share": 0.2, "reason": "look closer"}})
    share: float
