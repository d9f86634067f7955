"""One line for each request, where it is asked for: who asked what, and how it went; never what was said."""

from __future__ import annotations

import logging
import time
from typing import Any

from services.domain.configuration import EndpointConfig
from services.domain.events import Outcome
from services.gateway.exchange import Exchange
from services.gateway.inbound.turn import Turn
from services.gateway.request_ids import given_id
from services.gateway.surfaces import Call

logger = logging.getLogger("headgate.access")


class LoggedRequest:
    """Follows one request to its line."""

    __slots__ = ("_call", "_given", "_request_id", "_started")

    def __init__(self, turn: Turn, call: Call, request_id: str) -> None:
        self._started = time.monotonic()
        self._call = call
        self._request_id = request_id
        self._given = given_id(turn.headers)

    def admitted(self, exchange: Exchange) -> None:
        """Nothing to note."""

    def asks(self, endpoint: EndpointConfig) -> bytes:  # noqa: ARG002 - the outcome names it
        """Add nothing to what is sent."""
        return b""

    def answered(self, first: bytes) -> None:
        """Nothing to note."""

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write the line."""
        config = exchange.route.config
        randomised_in = {assigned.experiment_id for assigned in outcome.assignments}
        experiments = [one for one in (config.experiment, config.test) if one is not None]
        fields: dict[str, Any] = {
            "route": outcome.route_key,
            "variant": outcome.variant_key,
            "outcome": outcome.status.name.lower(),
            "http_status": outcome.http_status,
            "seconds": outcome.latency_us / 1e6,
            "first_token_seconds": None if outcome.first_token_us is None else outcome.first_token_us / 1e6,
            "streamed": outcome.streamed,
            "prompt_tokens": outcome.prompt_tokens,
            "completion_tokens": outcome.completion_tokens,
            "endpoints": [attempt.endpoint_key for attempt in outcome.attempts],
            "key_id": outcome.key_id,
            "team": outcome.team_key or None,
            "experiments": [one.key for one in experiments if one.experiment_id in randomised_in],
        }
        self._write(fields)

    def refused(self, http_status: int, code: str) -> None:
        """Write the line."""
        seconds = round(time.monotonic() - self._started, 6)
        self._write({"outcome": "refused", "http_status": http_status, "code": code, "seconds": seconds})

    def _write(self, fields: dict[str, Any]) -> None:
        given = None if self._given is None else self._given.decode("ascii")
        ids = {"request_id": self._request_id, "client_request_id": given, "surface": self._call.surface.path}
        known = {name: value for name, value in (ids | fields).items() if value is not None}
        logger.info(
            "%s %s %s in %.3f s",
            self._call.surface.path,
            fields.get("route", "-"),
            fields["http_status"],
            fields["seconds"],
            extra=known,
        )
