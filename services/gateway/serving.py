"""The path that every request to a surface takes: in, to an endpoint, back, and into one outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from uuid_utils import uuid7

from services.domain.assignment import unit_hash
from services.domain.errors import HeadgateError, NoHealthyEndpoints, Unserveable
from services.domain.events import Outcome
from services.domain.status import OutcomeStatus
from services.gateway.ab_test import NOTHING
from services.gateway.admission import authenticate, find_route
from services.gateway.body import open_body
from services.gateway.choice import choose, find_unit
from services.gateway.config import ConfigStore
from services.gateway.exchange import Exchange
from services.gateway.failover import Failover, Job, Reached, ReachedStream
from services.gateway.feedback_tokens import FeedbackTokens
from services.gateway.forcing import HEADER as FORCE_HEADER
from services.gateway.forcing import force
from services.gateway.inbound.heads import JSON
from services.gateway.inbound.turn import Answer, Turn
from services.gateway.rejections import NotReady, body_of
from services.gateway.shadow import Shadows
from services.gateway.streaming import relay
from services.gateway.surfaces import Call


class OutcomeSink(Protocol):
    """Takes outcomes and never makes a request wait."""

    def offer(self, outcome: Outcome) -> None:
        """Take an outcome."""


class Serving:
    """Serves requests. ``clock`` is wall time in seconds; the evidence lease is judged by it."""

    def __init__(
        self,
        store: ConfigStore,
        failover: Failover,
        outcomes: OutcomeSink,
        *,
        tokens: FeedbackTokens,
        shadows: Shadows,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._shadows = shadows
        self._failover = failover
        self._outcomes = outcomes
        self._clock = clock
        self.served = 0
        self.rejected = 0
        self.active = 0
        """Requests under way."""

    async def serve(self, call: Call, turn: Turn) -> None:
        """Serve one request."""
        request_id = uuid7().hex
        try:
            exchange = await self._admit(call, turn, request_id)
        except HeadgateError as error:
            self.rejected += 1
            turn.answer(*refusal(error, request_id))
            return
        except asyncio.CancelledError:
            self.rejected += 1
            raise
        self.served += 1
        self.active += 1
        try:
            outcome = await self._answer(exchange, turn)
        except asyncio.CancelledError:
            self._note_asked_last(exchange)
            gone = OutcomeStatus.CALLER_GONE if turn.begun else OutcomeStatus.CALLER_GAVE_UP
            outcome = exchange.outcome(gone, 0)
        finally:
            self.active -= 1
        self._outcomes.offer(outcome)
        if exchange.copy is not None:
            self._shadows.offer(exchange, exchange.copy, outcome)

    async def _admit(self, call: Call, turn: Turn, request_id: str) -> Exchange:
        started_at, started = self._clock(), time.monotonic()
        view, headers = self._store.view, turn.headers
        if view.installation is None:
            raise NotReady("this gateway has read no configuration yet; /readyz says what it waits for")
        credential = authenticate(headers.get(b"authorization"), headers.get(b"api-key"), view.credentials)
        document = turn.body if turn.whole else await turn.receive()
        body = open_body(document, call)
        route = find_route(body.model, credential, view.routes)
        unit_id, unit_source = find_unit(
            headers.get(b"x-headgate-unit"), body, request_id, route.config.unit_fallback
        )
        forced = headers.get(FORCE_HEADER)
        if forced is None:
            choice = choose(route, unit_id, view.measured_at, started_at)
        else:
            choice = force(forced, route, credential)
        about = NOTHING if choice.test is None else choice.test.read(headers)
        hashed = unit_hash(unit_id)
        exchange = Exchange(
            request_id, started_at, started, credential, route, body, hashed, unit_source, choice, about
        )
        if route.shadow is not None and forced is None:
            exchange.copy = self._shadows.sample(route.shadow, request_id, body, started_at)
        return exchange

    async def _answer(self, exchange: Exchange, turn: Turn) -> Outcome:
        try:
            reached = await self._reach(exchange)
        except Unserveable as error:
            self._note_asked_last(exchange)
            status = exchange.attempts[-1].status if exchange.attempts else error.outcome_status
            outcome = exchange.outcome(status, error.http_status)
            fields = JSON + self._fields(exchange)
            if error.retry_after_seconds is not None:
                fields += b"retry-after: %d\r\n" % error.retry_after_seconds
            turn.answer(error.http_status, fields, body_of(error))
            return outcome
        exchange.endpoint = reached.endpoint
        fields = self._fields(exchange) + reached.fields
        if isinstance(reached, ReachedStream):
            return await relay(exchange, reached, fields, turn)
        turn.answer(reached.http_status, fields, reached.body)
        if exchange.copy is not None:
            exchange.copy.take_whole(reached.body)
        return exchange.outcome(reached.status, reached.http_status, reached.reading)

    def _fields(self, exchange: Exchange) -> bytes:
        fields = exchange.fields()
        if exchange.choice.assignments:
            token = self._tokens.issue(exchange.token(), exchange.started_at)
            if token is not None:
                fields += b"x-headgate-feedback-token: %b\r\n" % token
        return fields

    def _note_asked_last(self, exchange: Exchange) -> None:
        if exchange.endpoint is None and exchange.attempts:
            exchange.endpoint = self._store.view.endpoints.get(exchange.attempts[-1].endpoint_key)

    def _reach(self, exchange: Exchange) -> Awaitable[Reached]:
        route, key = exchange.route, exchange.choice.variant_key
        variant = route.config.variants.get(key)
        if variant is None:
            raise NoHealthyEndpoints(f"route {route.config.key!r} has no variant {key!r}; define it again")
        job = Job(route.config.key, variant, route.overrides[key], exchange.body, exchange.attempts)
        return self._failover.reach(job, self._store.view.endpoints)


def refusal(error: HeadgateError, request_id: str | None = None) -> Answer:
    """Return one of our own errors as an answer."""
    encoded = (request_id or uuid7().hex).encode()
    fields = b"%bx-request-id: %b\r\nx-headgate-request-id: %b\r\n" % (JSON, encoded, encoded)
    return error.http_status, fields, body_of(error)
