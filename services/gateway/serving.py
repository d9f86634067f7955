"""The path that every request to a surface takes: in, to an endpoint, back, and into one outcome."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from uuid_utils import uuid7

from services.domain.assignment import unit_hash
from services.domain.errors import HeadgateError, NoHealthyEndpoints, Unserveable
from services.domain.events import Outcome
from services.domain.status import OutcomeStatus
from services.domain.token_estimate import Streamed
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
from services.gateway.limiting.heads import without_limits
from services.gateway.limiting.ledger import Reservation
from services.gateway.limiting.limiter import Limiter
from services.gateway.limiting.refusals import LimitReached
from services.gateway.metrics import Metrics
from services.gateway.rejections import NotReady, body_of
from services.gateway.request_ids import answer_lines, given_id, upstream_line
from services.gateway.shadow import Shadows
from services.gateway.streaming import relay
from services.gateway.surfaces import Call
from services.gateway.watching import Trace, Watch


class Serving:
    """Serves requests. ``clock`` is wall time in seconds; the evidence lease is judged by it."""

    def __init__(
        self,
        store: ConfigStore,
        failover: Failover,
        metrics: Metrics,
        *,
        tokens: FeedbackTokens,
        shadows: Shadows,
        limiter: Limiter,
        watch: Watch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._watch = watch
        self._shadows = shadows
        self._limiter = limiter
        self._failover = failover
        self._metrics = metrics
        self._clock = clock
        self.served = 0
        self.rejections: Counter[str] = Counter()
        """Requests that were refused before they were routed, by the error's code."""
        self.active = 0
        """Requests under way."""

    @property
    def rejected(self) -> int:
        """Requests that were refused before they were routed."""
        return self.rejections.total()

    async def serve(self, call: Call, turn: Turn) -> None:
        """Serve one request."""
        request_id = uuid7().hex
        trace = None if self._watch is None else self._watch(turn, call, request_id)
        try:
            exchange = await self._admit(call, turn, request_id)
        except HeadgateError as error:
            self._refused(error.http_status, error.code, trace)
            turn.answer(*refusal(error, request_id, given_id(turn.headers)))
            return
        except asyncio.CancelledError:
            self._refused(0, CALLER_GAVE_UP, trace)
            raise
        if trace is not None:
            exchange.trace = trace
            trace.admitted(exchange)
        self.served += 1
        self.active += 1
        outcome: Outcome | None = None
        try:
            outcome = await self._answer(exchange, turn)
        except asyncio.CancelledError:
            self._note_asked_last(exchange)
            gone = OutcomeStatus.CALLER_GONE if turn.begun else OutcomeStatus.CALLER_GAVE_UP
            outcome = exchange.outcome(gone, 0)
        finally:
            self.active -= 1
            if exchange.reservation is not None:
                self._settle(exchange, exchange.reservation, outcome)
        self._offer(outcome, exchange)
        if trace is not None:
            trace.ended(exchange, outcome)
        if exchange.copy is not None:
            self._shadows.offer(exchange, exchange.copy, outcome)

    def _refused(self, http_status: int, code: str, trace: Trace | None) -> None:
        self.rejections[code] += 1
        if trace is not None:
            trace.refused(http_status, code)

    async def _admit(self, call: Call, turn: Turn, request_id: str) -> Exchange:
        started_at, started = self._clock(), time.monotonic()
        view, headers = self._store.view, turn.headers
        if view.installation is None:
            raise NotReady("this gateway has read no configuration yet; /readyz says what it waits for")
        credential = authenticate(
            headers.get(b"authorization"), headers.get(b"api-key"), view.credentials, started_at
        )
        document = turn.body if turn.whole else await turn.receive()
        body = open_body(document, call)
        route = find_route(body.model, credential, view.routes)
        unit_id, unit_source = find_unit(
            headers.get(b"x-headgate-unit"), body, request_id, route.unit_fallback
        )
        forced = headers.get(FORCE_HEADER)
        choice = None if forced is None else force(forced, route, credential)
        hashed = unit_hash(unit_id)
        # Before the unit is assigned: whether a request is refused must not depend on its variant.
        plan = view.plan(credential, route.config) if view.limited else None
        reservation: Reservation | None = None
        if plan is not None:
            limiter = self._limiter
            if limiter.sharing.joining:
                await limiter.sharing.joined()
            reservation = limiter.admit(plan, body, hashed, unit_source)
            if reservation.claim is not None:
                await limiter.decided(reservation, reservation.claim)
        if choice is None:
            choice = choose(route, unit_id, view.measured_at, started_at)
        about = NOTHING if choice.test is None else choice.test.read(headers)
        exchange = Exchange(
            request_id, started_at, started, credential, route, body, hashed, unit_source, choice, about
        )
        exchange.given_id = given_id(headers)
        if reservation is not None:
            exchange.reservation = reservation
            if body.streams and reservation.plan.counts_tokens:
                exchange.streamed = Streamed()
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
        if exchange.trace is not None:
            exchange.trace.answered(reached.body)
        fields = self._fields(exchange) + _passed_on(exchange, reached)
        if isinstance(reached, ReachedStream):
            return await relay(exchange, reached, fields, turn)
        turn.answer(reached.http_status, fields, reached.body)
        if exchange.copy is not None:
            exchange.copy.take_whole(reached.body)
        if exchange.recording is not None:
            exchange.recording.take_whole(reached.body)
        return exchange.outcome(reached.status, reached.http_status, reached.reading)

    def _fields(self, exchange: Exchange) -> bytes:
        fields = exchange.fields()
        reservation = exchange.reservation
        if reservation is not None and reservation.plan.shows:
            fields += self._limiter.ledger.fields(reservation)
        if exchange.choice.assignments:
            token = self._tokens.issue(exchange.token(), exchange.started_at)
            if token is not None:
                fields += b"x-headgate-feedback-token: %b\r\n" % token
        return fields

    def _offer(self, outcome: Outcome, exchange: Exchange) -> None:
        choice = exchange.choice
        counts = choice.counts
        if counts is None:
            counts = choice.counts = self._metrics.counts_of(outcome.route_key, outcome.variant_key)
        self._metrics.offer(outcome, counts)

    def _settle(self, exchange: Exchange, reservation: Reservation, outcome: Outcome | None) -> None:
        prices = None if exchange.endpoint is None else exchange.endpoint.prices
        self._limiter.settle(reservation, outcome, prices, exchange.streamed)

    def _note_asked_last(self, exchange: Exchange) -> None:
        if exchange.endpoint is None and exchange.attempts:
            exchange.endpoint = self._store.view.endpoints.get(exchange.attempts[-1].endpoint_key)

    def _reach(self, exchange: Exchange) -> Awaitable[Reached]:
        route, choice = exchange.route, exchange.choice
        variant, overrides = choice.variant, choice.overrides
        if variant is None or overrides is None:
            raise NoHealthyEndpoints(
                f"route {route.key!r} has no variant {choice.variant_key!r}; define it again"
            )
        budget = choice.budget
        if budget is None:
            budget = choice.budget = self._failover.budget_of(route.key, choice.variant_key)
        job = Job(
            route.key,
            variant,
            overrides,
            exchange.body,
            exchange.attempts,
            budget,
            upstream_line(exchange.request_id),
            exchange.trace,
        )
        return self._failover.reach(job, self._store.view.endpoints)


CALLER_GAVE_UP = "caller_gave_up"
"""Counted like an error's code: whoever asked hung up before the request was whole."""


def _passed_on(exchange: Exchange, reached: Reached) -> bytes:
    """Return the provider's lines; where there are limits of ours, not those about its own."""
    reservation = exchange.reservation
    if reservation is None or not reservation.plan.shows:
        return reached.fields
    return without_limits(reached.fields)


def refusal(error: HeadgateError, request_id: str | None = None, given: bytes | None = None) -> Answer:
    """Return one of our own errors as an answer. ``given`` is what the caller calls the request."""
    fields = JSON + answer_lines(request_id or uuid7().hex, given)
    if isinstance(error, LimitReached):
        fields += error.fields
    return error.http_status, fields, body_of(error)
