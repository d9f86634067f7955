"""The routing service's settings."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class RoutingSettings(BaseSettings):
    """From the environment: HEADGATE_ROUTING_SWEEP_SECONDS, HEADGATE_WEBHOOK_LOOK_SECONDS."""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore")

    routing_sweep_seconds: float = 2.0
    """How often to look in Postgres for decisions that were recorded and not yet applied."""
    webhook_look_seconds: float = 0.5
    """How often each sender looks for messages to webhooks when there were none."""
