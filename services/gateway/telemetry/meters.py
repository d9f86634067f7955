"""The metrics of the GenAI conventions, recorded once for each request."""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider

from services.domain.configuration import EndpointConfig
from services.domain.events import Outcome
from services.gateway.exchange import Exchange
from services.gateway.telemetry.conventions import (
    FIRST_TOKEN_BOUNDS,
    SECONDS_BOUNDS,
    TOKENS_BOUNDS,
    endpoint_attributes,
    error_type,
    model_asked_for,
)

METER = "headgate.gateway"


class Meters:
    """Records. What an attempt is recorded under is bounded by the configuration."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(METER)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS_BOUNDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS_BOUNDS,
        )
        self._first_token = meter.create_histogram(
            "gen_ai.server.time_to_first_token",
            "s",
            "Time to generate first token for successful responses.",
            explicit_bucket_boundaries_advisory=FIRST_TOKEN_BOUNDS,
        )

    def record(self, exchange: Exchange, asked: list[EndpointConfig], outcome: Outcome) -> None:
        """Record a request that is over. ``asked`` are the endpoints of its attempts."""
        surface = exchange.body.surface
        for endpoint, attempt in zip(asked, outcome.attempts, strict=False):
            labels = endpoint_attributes(surface, endpoint, model_asked_for(exchange, endpoint))
            problem = error_type(attempt.status, attempt.http_status)
            told = labels if problem is None else labels | {"error.type": problem}
            self._duration.record(attempt.duration_us / 1e6, told)
            if exchange.endpoint is None or endpoint.key != exchange.endpoint.key:
                continue
            if outcome.prompt_tokens is not None:
                self._tokens.record(outcome.prompt_tokens, labels | {"gen_ai.token.type": "input"})
            if outcome.completion_tokens is not None:
                self._tokens.record(outcome.completion_tokens, labels | {"gen_ai.token.type": "output"})
            if outcome.first_token_us is not None and problem is None:
                self._first_token.record(outcome.first_token_us / 1e6, labels)
