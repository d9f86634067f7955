"""The routing service's settings."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from services.routing.forgetting import COMPARISONS_KEPT_DAYS


class RoutingSettings(BaseSettings):
    """From the environment: HEADGATE_ROUTING_SWEEP_SECONDS, HEADGATE_WEBHOOK_LOOK_SECONDS, …"""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore")

    routing_metrics_host: str = "127.0.0.1"
    routing_metrics_port: int | None = None
    """Where Prometheus finds /metrics. None: nowhere; 0 takes a free port, and the address is logged."""
    routing_look_seconds: float = 5.0
    """How often the database is read for the metrics that come from there."""
    routing_sweep_seconds: float = 2.0
    """How often to look in Postgres for decisions that were recorded and not yet applied."""
    comparisons_kept_days: float = COMPARISONS_KEPT_DAYS
    """How long the comparisons of a shadow are kept after its end. What they came to stays."""
    webhook_look_seconds: float = 0.5
    """How often each sender looks for messages to webhooks when there were none."""
