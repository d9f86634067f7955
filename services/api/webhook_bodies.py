"""Webhooks and their deliveries as callers define and see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.api.etags import Resource
from services.api.schemas import Key, Replacement, distinct, web_address
from services.domain.webhook import Webhook
from services.storage.deliveries import DeliveryState

EventName = Annotated[str, Field(pattern=r"^[a-z]+\.([a-z_-]+|\*)$", max_length=100)]


class WebhookBody(Replacement):
    """Where to send which events, signed as Standard Webhooks says."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "url": "https://hooks.example.com/headgate",
                "secret": "env:ON_CALL_WEBHOOK_SECRET",
                "events": ["decision.applied"],
            }
        }
    )
    url: Annotated[str, Field(max_length=2_000), AfterValidator(web_address)]
    secret: Annotated[str, Field(max_length=1_000, pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$")] = (
        Field(description="A reference to the signing secret, where routing runs: env:NAME or file:/path")
    )
    events: Annotated[list[EventName], Field(max_length=100), AfterValidator(distinct)] = Field(
        default=[],
        description="Such as `decision.recorded`, `experiment.start` or `route.*`; everything when empty",
    )
    enabled: bool = Field(default=True, description="Where false, nothing is sent, and nothing new is kept")

    def webhook(self, key: str) -> Webhook:
        """Return the webhook as it is stored."""
        return msgspec.convert(self.model_dump(exclude={"key"}) | {"key": key}, Webhook)


class NewWebhook(WebhookBody):
    """A webhook to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "on-call",
                "url": "https://hooks.example.com/headgate",
                "secret": "env:ON_CALL_WEBHOOK_SECRET",
                "events": ["decision.*", "experiment.*"],
            }
        }
    )
    key: Key


class WebhookView(Resource):
    """A webhook."""

    key: str
    url: str
    secret: str
    events: list[str]
    enabled: bool

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookView:
        """Return what callers see of a webhook."""
        return cls(**msgspec.to_builtins(webhook))


class DeliveryView(BaseModel):
    """A message to a webhook, and what came of it. ``delivery_id`` is in its ``webhook-id``."""

    delivery_id: UUID
    event: str
    body: dict[str, Any]
    state: DeliveryState
    tries: int
    next_try_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> DeliveryView:
        """Return what callers see of a delivery."""
        waiting = row["state"] == "waiting"
        return cls(**{**row, "next_try_at": row["next_try_at"] if waiting else None})
