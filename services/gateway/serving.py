"""The path that every request to a surface takes: in, to an endpoint, back, and into one outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from uuid_utils import uuid7

from services.domain.errors import HeadgateError, NoHealthyEndpoints, Unserveable
from services.domain.events import Outcome
from services.domain.status import OutcomeStatus
from services.gateway.admission import authenticate, find_route
from services.gateway.asgi import JSON, CallerGone, Receive, Scope, Send, read_body, send_whole
from services.gateway.body import open_body
from services.gateway.choice import choose, find_unit
from services.gateway.config import ConfigStore
from services.gateway.exchange import Exchange
from services.gateway.failover import Failover, Job, Reached, ReachedStream
from services.gateway.rejections import NotReady, body_of
from services.gateway.server import ON_HANG_UP
from services.gateway.streaming import relay
from services.gateway.surfaces import Call

logger = logging.getLogger(__name__)


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
        max_body_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._failover = failover
        self._outcomes = outcomes
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self.served = 0
        self.rejected = 0
        self.active = 0
        """Requests under way."""

    async def serve(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request_id = uuid7().hex
        try:
            exchange = await self._admit(call, scope, receive, request_id)
        except HeadgateError as error:
            self.rejected += 1
            await refuse(send, error, request_id)
        except CallerGone:
            self.rejected += 1
        else:
            self.served += 1
            self.active += 1
            try:
                await self._serve(exchange, scope, send)
            finally:
                self.active -= 1

    async def _admit(self, call: Call, scope: Scope, receive: Receive, request_id: str) -> Exchange:
        started_at, started = self._clock(), time.monotonic()
        authorization = api_key = unit_header = content_length = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"api-key":
                api_key = value
            elif name == b"x-headgate-unit":
                unit_header = value
            elif name == b"content-length":
                content_length = value
        view = self._store.view
        if view.installation is None:
            raise NotReady("this gateway has read no configuration yet; /readyz says what it waits for")
        credential = authenticate(authorization, api_key, view.credentials)
        body = open_body(await read_body(receive, content_length, self._max_body_bytes), call)
        route = find_route(body.model, credential, view.routes)
        unit_id, unit_source = find_unit(unit_header, body, request_id, route.config.unit_fallback)
        choice = choose(route, unit_id, view.measured_at, started_at)
        return Exchange(request_id, started_at, started, route, body, unit_id, unit_source, choice)

    async def _serve(self, exchange: Exchange, scope: Scope, send: Send) -> None:
        caller = _Caller()
        scope[ON_HANG_UP] = caller.hang_up
        try:
            outcome = await self._answer(exchange, send)
        except asyncio.CancelledError:
            # A stop that cuts a request off says as little about the variant as a caller who leaves.
            outcome = exchange.outcome(OutcomeStatus.CALLER_GONE, 0)
            caller.settle()
        finally:
            scope[ON_HANG_UP] = None
        self._outcomes.offer(outcome)

    async def _answer(self, exchange: Exchange, send: Send) -> Outcome:
        try:
            reached = await self._reach(exchange)
        except Unserveable as error:
            status = exchange.attempts[-1].status if exchange.attempts else error.outcome_status
            outcome = exchange.outcome(status, error.http_status)
            headers = [JSON, *exchange.headers()]
            if error.retry_after_seconds is not None:
                headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
            await send_whole(send, error.http_status, headers, body_of(error))
            return outcome
        headers = exchange.headers() + reached.headers
        if isinstance(reached, ReachedStream):
            return await relay(exchange, reached, headers, send)
        await send_whole(send, reached.http_status, headers, reached.body)
        return exchange.outcome(reached.status, reached.http_status, reached.reading)

    async def _reach(self, exchange: Exchange) -> Reached:
        route, key = exchange.route, exchange.choice.variant_key
        variant = route.config.variants.get(key)
        if variant is None:
            raise NoHealthyEndpoints(f"route {route.config.key!r} has no variant {key!r}; define it again")
        job = Job(route.config.key, variant, route.overrides[key], exchange.body, exchange.attempts)
        return await self._failover.reach(job, self._store.view.endpoints)


class _Caller:
    """Whoever waits for the answer; hanging up cancels the work that is done for them."""

    __slots__ = ("_gone", "_task")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._gone = False

    def hang_up(self) -> None:
        """The connection is lost."""
        if self._task is not None:
            self._gone = True
            self._task.cancel()

    def settle(self) -> None:
        """The cancellation was this one's and has done its work."""
        if self._gone and self._task is not None:
            self._task.uncancel()


async def refuse(send: Send, error: HeadgateError, request_id: str | None = None) -> None:
    """Answer with one of our own errors."""
    encoded = (request_id or uuid7().hex).encode()
    headers = [JSON, (b"x-request-id", encoded), (b"x-headgate-request-id", encoded)]
    await send_whole(send, error.http_status, headers, body_of(error))
