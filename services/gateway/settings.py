"""What can be set on a gateway."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class GatewaySettings(BaseSettings):
    """From the environment: HEADGATE_GATEWAY_HOST, HEADGATE_GATEWAY_PORT, …"""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_GATEWAY_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free one; the address is logged once the gateway listens."""
    state_dir: Path = Path(".headgate/gateway")
    """Holds the configuration's snapshot and the sequence journals. Gateways on one machine may share it."""

    max_body_bytes: int = 10 * MIB
    """Larger requests are answered 413."""
    max_answer_bytes: int = 64 * MIB
    """Answers that are not streamed are read whole before the first byte is sent, up to this size."""

    secret_commands: dict[str, str] = {}
    """Commands that print a provider's secret or token, by the name that ``command:NAME`` refers to. As JSON:
    ``{"entra": "az account get-access-token --resource https://cognitiveservices.azure.com"}``. Run without
    a shell."""

    access_log: bool = False
    """Log one line for each request (docs/telemetry.md)."""

    gather_seconds: float = 0.010
    """How long outcomes may wait to be sent together, once others have just been sent."""
    outcome_buffer_bytes: int = 64 * MIB
    """Outcomes kept while Kafka does not take them; beyond it the newest are shed, counted and reported."""

    feedback_key: str | None = None
    """A reference to the secret that feedback tokens are signed with: ``env:NAME`` or ``file:PATH``, the same
    for all gateways of an installation. It holds one or several keys of at least 32 characters, separated by
    white space: the first one signs, every one is accepted. None: each gateway makes a key of its own."""
    feedback_days: float = 30.0
    """How long after an answer feedback about it is taken."""
    feedback_wait_seconds: float = 5.0
    """How long feedback may wait for Kafka's acknowledgement before its sender is told to send it again."""
    feedback_buffer_bytes: int = 16 * MIB
    """Feedback that may wait for Kafka at a time; more is told to come again at once."""

    shadow_buffer_bytes: int = 64 * MIB
    """Requests and answers that wait to be mirrored, and comparisons that wait for Kafka, half of it each;
    beyond it they are shed and counted."""

    retry_budget_share: float = 0.2
    """Attempts after the first, as a share of a route's and variant's requests of the last ten seconds."""
    retry_budget_minimum_per_second: float = 3.0
    """So many are allowed however few requests there are."""

    limit_default_completion_tokens: int = 1024
    """What an answer is taken to cost in tokens, until it is there, where neither the request nor its variant
    sets a cap."""
    limit_replicas: int = 1
    """How many gateway processes share the limits, as long as one that starts cannot hear of the others."""
    limit_meters: int = 200_000
    """Keys, teams, routes and units whose use is remembered at a time; each takes about a kilobyte."""

    stream_grace_seconds: float = 10.0
    """At a stop: how long requests that are being served may take to finish."""
    flush_grace_seconds: float = 5.0
    """At a stop: how long outcomes may take to be acknowledged."""
