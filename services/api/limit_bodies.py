"""Limits of keys, teams and routes, as callers define and see them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.domain.limits import Limits

LARGEST_LIMIT = 1_000_000_000_000
SMALLEST_DOLLARS = 0.000_001
"""Dollars are counted in whole billionths: less than a thousand of them is a mistake, not a budget."""

Limit = Annotated[int, Field(ge=1, le=LARGEST_LIMIT)]
LIMITS_EXAMPLE: dict[str, Any] = {
    "requests_per_minute": 600,
    "tokens_per_day": 5_000_000,
    "dollars_per_day": 50,
}


class LimitsBody(BaseModel):
    """Upper bounds over all gateways together; null, or left out, is no bound."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra={"example": LIMITS_EXAMPLE}
    )
    requests_per_minute: Limit | None = Field(default=None, description="In any 60 seconds")
    tokens_per_minute: Limit | None = Field(
        default=None, description="Prompt and completion, in any 60 seconds"
    )
    concurrency: Limit | None = Field(default=None, description="Requests under way at a time")
    tokens_per_day: Limit | None = Field(default=None, description="From midnight to midnight, UTC")
    dollars_per_day: Annotated[float, Field(ge=SMALLEST_DOLLARS, le=LARGEST_LIMIT)] | None = Field(
        default=None, description="From midnight to midnight, UTC; of endpoints that have prices"
    )

    @classmethod
    def of(cls, limits: Limits | None) -> LimitsBody | None:
        """Return limits as callers see them."""
        return None if limits is None else cls(**msgspec.structs.asdict(limits))


def _or_none(body: LimitsBody | None) -> LimitsBody | None:
    return body if body is not None and body.model_dump(exclude_none=True) else None


Bounds = Annotated[LimitsBody | None, AfterValidator(_or_none)]
"""Limits in a body; those that bound nothing are none."""


def limits_of(body: LimitsBody | None) -> Limits | None:
    """Return limits as they are stored."""
    return None if body is None else Limits(**body.model_dump())


def changed_limits(before: Limits | None, body: LimitsBody | None) -> Limits | None:
    """Return limits after a change: those that were sent, and of the others what was there; null is none."""
    if body is None:
        return None
    known = {} if before is None else msgspec.structs.asdict(before)
    after = known | body.model_dump(include=body.model_fields_set)
    return Limits(**after) if any(bound is not None for bound in after.values()) else None
