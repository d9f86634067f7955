"""One request from its admission to its outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from services.domain.assignment import unit_hash
from services.domain.events import Attempt, Outcome, UnitSource
from services.domain.status import OutcomeStatus
from services.gateway.answers import Reading
from services.gateway.asgi import Headers
from services.gateway.body import RequestBody
from services.gateway.choice import Choice
from services.gateway.view import ServedRoute


@dataclass(slots=True)
class Exchange:
    """What is known of a request that has been routed; it becomes exactly one outcome."""

    request_id: str
    started_at: float
    started: float
    route: ServedRoute
    body: RequestBody
    unit_id: str
    unit_source: UnitSource
    choice: Choice
    attempts: list[Attempt] = field(default_factory=list)
    first_token: float | None = None

    def headers(self) -> Headers:
        """Return the response headers that say what was decided here."""
        config, choice = self.route.config, self.choice
        request_id = self.request_id.encode()
        headers = [
            (b"x-request-id", request_id),
            (b"x-headgate-request-id", request_id),
            (b"x-headgate-route", config.key.encode()),
            (b"x-headgate-variant", choice.variant_key.encode()),
            (b"x-headgate-allocation", b"%d" % config.allocation_version),
        ]
        if choice.experiment is not None:
            experiment_key = choice.experiment.key.encode()
            if choice.assigned is not None:
                headers.append((b"x-headgate-experiment", experiment_key))
            if choice.blind:
                headers.append((b"x-headgate-blind", experiment_key))
        return headers

    def outcome(self, status: OutcomeStatus, http_status: int, reading: Reading | None = None) -> Outcome:
        """Return what the request came to, now that it is over."""
        now = time.monotonic()
        assigned = self.choice.assigned
        return Outcome(
            request_id=self.request_id,
            route_key=self.route.config.key,
            variant_key=self.choice.variant_key,
            unit_hash=unit_hash(self.unit_id),
            unit_source=self.unit_source,
            status=status,
            http_status=http_status,
            started_at_us=int(self.started_at * 1e6),
            latency_us=int((now - self.started) * 1e6),
            first_token_us=None if self.first_token is None else int((self.first_token - self.started) * 1e6),
            prompt_tokens=None if reading is None else reading.prompt_tokens,
            completion_tokens=None if reading is None else reading.completion_tokens,
            streamed=self.body.streams,
            assignments=() if assigned is None else (assigned,),
            attempts=tuple(self.attempts),
        )
