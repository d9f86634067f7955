"""Endpoints and their prices as callers define them."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from pydantic import AfterValidator, ConfigDict, Field

from services.api.reliability import BreakerBody, ProbeBody
from services.api.schemas import Body, Key, Replacement, web_address
from services.domain.configuration import ConfigVersion, EndpointAuth, EndpointConfig, EndpointKind, Prices

_SECRET = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|command:[A-Za-z0-9_-]+)")


def _reference(secret: str) -> str:
    # The message must not repeat what was sent: it may be the secret itself.
    if not _SECRET.fullmatch(secret):
        raise ValueError(
            "must be a reference, env:NAME, file:/path or command:NAME; secrets themselves are never stored"
        )
    return secret


Seconds = Annotated[float, Field(gt=0, le=86_400)]
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
