"""Routes as callers define them, and what can be set of them later."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from services.api.limit_bodies import Bounds
from services.api.schemas import Body, RouteKey
from services.domain.configuration import UnitFallback

_RECORDED = Field(description="Whether prompts and answers may be kept, in traces and by shadows")
Recorded = Annotated[bool, _RECORDED]


def _or_false(recorded: bool | None) -> bool:
    return bool(recorded)


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
    record_content: Annotated[bool | None, AfterValidator(_or_false), _RECORDED] = False


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
