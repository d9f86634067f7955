"""What callers send to draft a shadow."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, ConfigDict, Field

from services.api.schemas import Body, Key, distinct
from services.domain.shadow import ShadowDefinition

_DEFAULT = ShadowDefinition(treatment="")


class NewShadow(Body):
    """A shadow to draft: a variant that gets copies of requests, and serves nobody."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "chat-next-model-shadow",
                "route": "chat",
                "kind": "shadow",
                "treatment": "next-model",
                "sample_share": 0.1,
                "cost_limit_per_hour": 2.5,
                "ignore_paths": ["/id", "/items/*/created_at"],
            }
        }
    )
    key: Key
    route: str
    kind: Literal["shadow"]
    treatment: str = Field(description="The variant that gets copies of requests")
    sample_share: float = Field(
        default=_DEFAULT.sample_share, description="The fraction of the route's requests that are mirrored"
    )
    max_concurrency: int = Field(
        default=_DEFAULT.max_concurrency, description="The most copies under way at a time, for each gateway"
    )
    queue_limit: int = Field(
        default=_DEFAULT.queue_limit, description="How many more may wait, for each gateway; others are shed"
    )
    timeout_seconds: float = Field(
        default=_DEFAULT.timeout_seconds, description="All the time that a copy has, retries included"
    )
    cost_limit_per_hour: float | None = Field(
        default=_DEFAULT.cost_limit_per_hour,
        description="Dollars over the last hour, for each gateway; needs prices of the variant's endpoints",
    )
    keep_text: bool = Field(default=_DEFAULT.keep_text, description="Store the texts of both answers")
    text_days: int = Field(default=_DEFAULT.text_days, description="After how long kept texts are deleted")
    similarity_threshold: float = Field(
        default=_DEFAULT.similarity_threshold, description="From which similarity on answers count as similar"
    )
    ignore_paths: Annotated[
        list[Annotated[str, Field(max_length=200)]], Field(max_length=100), AfterValidator(distinct)
    ] = Field(
        default=[],
        description="JSON pointers to what may differ where both answers are JSON; `*` is every item",
    )
    planned_duration_minutes: int = Field(
        default=_DEFAULT.planned_duration_minutes, description="After so long nothing more is mirrored"
    )

    @property
    def definition(self) -> ShadowDefinition:
        """The shadow as the domain defines it."""
        return msgspec.convert(self.model_dump(exclude={"key", "route", "kind"}), ShadowDefinition)
