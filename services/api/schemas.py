"""What callers send, checked field by field. Unknown fields are refused by name.

Rules that belong to the domain (steps that rise, a control that differs) are checked there.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from services.api.limit_bodies import Bounds
from services.api.reliability import BreakerBody, ProbeBody
from services.domain.configuration import (
    ConfigVersion,
    EndpointAuth,
    EndpointConfig,
    EndpointKind,
    Prices,
    SelectionRule,
    UnitFallback,
    VariantConfig,
)
from services.domain.errors import InvalidDefinition

Value = TypeVar("Value")
_SECRET = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|command:[A-Za-z0-9_-]+)")
_OWNED_BY_HEADGATE = frozenset({"model", "messages", "stream", "stream_options"})
LARGEST_NUMBER = 1_000_000_000
MAX_LEVELS = 50
"""Of parameters: those who read them, here and at providers, give up at some depth."""
MAX_VARIANT_PART_BYTES = 150_000
"""Of a variant's prompt and of its parameters: all variants of a route must fit into one Kafka record."""


def _reference(secret: str) -> str:
    # The message must not repeat what was sent: it may be the secret itself.
    if not _SECRET.fullmatch(secret):
        raise ValueError(
            "must be a reference, env:NAME, file:/path or command:NAME; secrets themselves are never stored"
        )
    return secret


def web_address(url: str) -> str:
    """Return the URL of a server, without a slash at its end."""
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be http(s)://host[:port][/path], without credentials, query or fragment")
    return url.rstrip("/")


def _moderate(value: Any) -> Any:
    """Refuse numbers that would overflow wherever they are used: as a date, as a count, in a gateway."""
    if isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
        raise ValueError(f"must be between -{LARGEST_NUMBER:,} and {LARGEST_NUMBER:,}")
    return value


def _is_flat(value: Any, levels: int = MAX_LEVELS) -> bool:
    """Say whether objects and lists lie no more than so many levels deep inside each other."""
    if not isinstance(value, dict | list):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(one, levels - 1) for one in inside)


def _free_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(_OWNED_BY_HEADGATE & parameters.keys())
    if taken:
        raise ValueError(f"must not set {', '.join(taken)}: the variant or the caller does")
    if not _is_flat(parameters):
        raise ValueError(f"holds objects and lists more than {MAX_LEVELS} levels deep inside each other")
    return storable(parameters)


def storable(value: Value) -> Value:
    """Return a value that JSON and Postgres can hold."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:  # also UnicodeEncodeError, for half a surrogate pair
        raise ValueError("holds a number or a character that JSON cannot carry") from None
    if rb"\u0000" in text:
        raise ValueError("holds a NUL character, which Postgres cannot store")
    if len(text) > MAX_VARIANT_PART_BYTES:
        raise ValueError(f"is over {MAX_VARIANT_PART_BYTES:,} bytes")
    return value


def distinct(items: list[str]) -> list[str]:
    """Return the items, none of which may be there twice."""
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

    _numbers = field_validator("*")(_moderate)


Price = Annotated[float, Field(ge=0, le=1_000_000)]


class PricesBody(Body):
    """What an endpoint's tokens cost, in dollars per million."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "input_per_million": 2.5,
                "cached_input_per_million": 1.25,
                "output_per_million": 10.0,
            }
        }
    )
    input_per_million: Price
    output_per_million: Price
    cached_input_per_million: Price | None = Field(
        default=None,
        description="Of the part of a prompt that the provider had in its cache; as the rest when absent",
    )

    def prices(self) -> Prices:
        """Return the prices as they are stored and published."""
        return msgspec.convert(self.model_dump(), Prices)

    @classmethod
    def of(cls, prices: Prices | None) -> PricesBody | None:
        """Return the prices as callers see them."""
        return None if prices is None else cls(**msgspec.structs.asdict(prices))


class Replacement(Body):
    """A definition to put in another's place. What was shown or exported may be sent back as it is."""

    key: str | None = Field(
        default=None, max_length=200, description="Need not be there; where it is, the key in the address"
    )

    def check_key(self, key: str) -> None:
        """Raise InvalidDefinition where the body names another key than the address."""
        if self.key is not None and self.key != key:
            raise InvalidDefinition(
                "key", f"is {self.key!r}, but the address says {key!r}; a key never changes"
            )


class EndpointBody(Replacement):
    """A provider deployment."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"kind": "openai", "base_url": "https://api.openai.com/v1"}}
    )
    kind: EndpointKind
    base_url: Annotated[str, Field(max_length=2_000), AfterValidator(web_address)]
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
    prices: PricesBody | None = Field(
        default=None, description="What its tokens cost; without it, the cost of its answers is unknown"
    )

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
                "prices": {"input_per_million": 2.5, "output_per_million": 10.0},
            }
        }
    )
    key: Key


class VariantBody(Replacement):
    """A configuration to serve."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"endpoints": ["openai-main"], "model": "gpt-4.1-mini"}}
    )
    endpoints: Annotated[list[str], Field(min_length=1, max_length=100), AfterValidator(distinct)]
    model: str | None = Field(default=None, min_length=1, max_length=200)
    system_prompt: Annotated[str, AfterValidator(storable)] | None = None
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


Recorded = Annotated[
    bool,
    Field(description="Whether prompts and answers may be kept, in traces and by shadows"),
]


class NewRoute(Body):
    """A route to create. Limits, and having contents kept, take the role admin."""

    model_config = ConfigDict(json_schema_extra={"example": {"key": "chat", "stable": "small-model"}})
    key: RouteKey
    stable: str = Field(description="The variant that serves what no experiment does")
    unit_fallback: UnitFallback = Field(
        default="request", description="Without a unit: randomise by `request`, or `reject` with a 400"
    )
    limits: Bounds = Field(default=None, description="Of all its requests together")
    unit_limits: Bounds = Field(default=None, description="Of each unit's requests")
    record_content: Recorded = False


class RouteRecordingBody(Body):
    """Whether contents of a route may be kept."""

    model_config = ConfigDict(json_schema_extra={"example": {"record_content": True}})
    record_content: Recorded


class RouteLimitsBody(Body):
    """What a route's requests may use."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "limits": {"tokens_per_minute": 200_000, "dollars_per_day": 500},
                "unit_limits": {"requests_per_minute": 30},
            }
        }
    )
    limits: Bounds = Field(default=None, description="Of all its requests together")
    unit_limits: Bounds = Field(default=None, description="Of each unit's requests")


class VerbBody(Body):
    """What every verb may be given."""

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "seen enough on the dashboard"}})
    reason: Reason = "asked for by hand"


class ShareBody(VerbBody):
    """The share of a canary's treatment, set by hand."""

    model_config = ConfigDict(json_schema_extra={"example": {"share": 0.2, "reason": "look closer"}})
    share: float


class PromoteBody(VerbBody):
    """Which variant becomes the stable one."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"variant": "short-prompt", "reason": "fewer tokens, same satisfaction"}
        }
    )
    variant: str | None = Field(
        default=None, description="The treatment to promote; needed where there are several"
    )
    holdback: bool = Field(
        default=True,
        description="Watch it against a holdback first, as its plan says; false: for good at once",
    )
