"""One request from its admission to its outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from services.domain.configuration import CredentialConfig, EndpointConfig
from services.domain.events import Attempt, Outcome, UnitSource
from services.domain.status import OutcomeStatus
from services.domain.token_estimate import Streamed
from services.gateway.ab_test import NOTHING, About
from services.gateway.answers import Reading
from services.gateway.body import RequestBody
from services.gateway.choices import Choice
from services.gateway.cost import cost_nanos
from services.gateway.feedback_tokens import FeedbackToken
from services.gateway.limiting.ledger import Reservation
from services.gateway.recording import Recording
from services.gateway.request_ids import answer_lines
from services.gateway.shadow_copies import Copy
from services.gateway.view import ServedRoute
from services.gateway.watching import Trace


@dataclass(slots=True)
class Exchange:
    """What is known of a request that has been routed; it becomes exactly one outcome."""

    request_id: str
    started_at: float
    started: float
    credential: CredentialConfig
    route: ServedRoute
    body: RequestBody
    unit_hash: int
    unit_source: UnitSource
    choice: Choice
    about: About = NOTHING
    attempts: list[Attempt] = field(default_factory=list)
    first_token: float | None = None
    endpoint: EndpointConfig | None = None
    """Whose answer it is, or who was asked last."""
    copy: Copy | None = None
    """The answer as a shadow's will be compared to it."""
    given_id: bytes | None = None
    """What the caller calls the request."""
    trace: Trace | None = None
    recording: Recording | None = None
    """The answer as its trace will show it."""
    reservation: Reservation | None = None
    """What it holds of its limits."""
    streamed: Streamed | None = None
    """What passed of its stream, where its tokens are limited."""

    def fields(self) -> bytes:
        """Return the lines of the answer's head that say what was decided here."""
        return answer_lines(self.request_id, self.given_id) + self.choice.fields

    def outcome(self, status: OutcomeStatus, http_status: int, reading: Reading | None = None) -> Outcome:
        """Return what the request came to, now that it is over."""
        now, about = time.monotonic(), self._about_all()
        prompt_tokens = None if reading is None else reading.prompt_tokens
        completion_tokens = None if reading is None else reading.completion_tokens
        cached_tokens = None if reading is None else reading.cached_tokens
        prices = None if self.endpoint is None else self.endpoint.prices
        return Outcome(
            request_id=self.request_id,
            route_key=self.route.key,
            variant_key=self.choice.variant_key,
            unit_hash=self.unit_hash,
            unit_source=self.unit_source,
            status=status,
            http_status=http_status,
            started_at_us=int(self.started_at * 1e6),
            latency_us=int((now - self.started) * 1e6),
            first_token_us=None if self.first_token is None else int((self.first_token - self.started) * 1e6),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            streamed=self.body.streams,
            assignments=self.choice.assignments,
            attempts=tuple(self.attempts),
            cost_nanos=cost_nanos(prices, prompt_tokens, completion_tokens, cached_tokens),
            attributes=about.attributes,
            covariate=about.covariate,
            key_id=self.credential.key_id,
            team_key=self.credential.team or "",
            cached_tokens=cached_tokens,
        )

    def token(self) -> FeedbackToken:
        """Return what feedback about the answer will need to know of it."""
        return FeedbackToken(
            self.unit_hash,
            self.unit_source,
            self.request_id,
            self.route.key,
            self.choice.assignments,
            self._about_all().attributes,
            int(self.started_at),
        )

    def _about_all(self) -> About:
        test = self.choice.test
        if test is None or not test.model_attributes:
            return self.about
        return test.with_model(self.about, self._model())

    def _model(self) -> str:
        """Return the model that was asked for; the one that would have been, where nobody was asked."""
        route, key = self.route, self.choice.variant_key
        if self.endpoint is not None:
            return route.overrides[key].model_at(self.endpoint, self.body)
        variant = route.config.variants.get(key)
        return (variant and variant.model) or self.body.model
