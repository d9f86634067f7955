"""What callers get to see of prices and of what was used."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field

from services.api.endpoint_bodies import PricesBody
from services.storage.endpoint_prices import PriceChange
from services.storage.usage_reading import Used, UsedSums


class PriceChangeView(BaseModel):
    """Prices from a moment on. ``version`` is of the configuration that brought them to the gateways."""

    effective_at: datetime
    prices: PricesBody | None = Field(description="Null: from then on the endpoint has none")
    actor: str
    version: tuple[int, int]

    @classmethod
    def of(cls, change: PriceChange) -> PriceChangeView:
        """Return what callers see of a change."""
        return cls(
            effective_at=change.effective_at,
            prices=PricesBody.of(change.prices),
            actor=change.actor,
            version=change.version,
        )


class UsedView(BaseModel):
    """Usage added up. ``cost_nanos`` is in billionths of a dollar and exact, ``cost_usd`` is the same."""

    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int = Field(description="The part of the prompt's that providers had in their caches")
    completion_tokens: int
    cost_nanos: int
    cost_usd: float
    unpriced_requests: int = Field(
        description="Requests that used tokens of endpoints without prices: their cost is not known"
    )

    @classmethod
    def of(cls, sums: UsedSums) -> UsedView:
        """Return what callers see of sums."""
        return cls(**sums._asdict(), cost_usd=sums.cost_nanos / 1e9)


class UsageRowView(UsedView):
    """Usage of one group. What it is not grouped by is null, and so is the team of a key without one."""

    day: date | None = None
    route: str | None = None
    variant: str | None = None
    team: str | None = None
    key: str | None = Field(default=None, description="The key's id")
    key_label: str | None = Field(default=None, description="What the key is called now")

    @classmethod
    def of_row(cls, used: Used) -> UsageRowView:
        """Return what callers see of a row."""
        return cls(**UsedView.of(used.sums).model_dump(), **used.group)


class UsageView(BaseModel):
    """Usage by group, a page of it, and the totals of all pages. Both days are included."""

    first_day: date
    last_day: date
    group_by: list[str]
    totals: UsedView
    items: list[UsageRowView]
    next_cursor: str | None = Field(default=None, description="The next page's `cursor`; null at the end")
