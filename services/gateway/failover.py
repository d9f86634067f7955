"""Asking a variant's endpoints, one after the other, until one has the first byte of an answer.

Nothing has been sent to the caller yet, so a failure here can still be made good by another endpoint, as far
as the retry budget goes. An answer that is not a stream is read whole for the same reason.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from services.domain.configuration import EndpointConfig, VariantConfig
from services.domain.errors import AllEndpointsFailed, EndpointUnavailable, Unserveable
from services.domain.events import Attempt
from services.domain.status import FAILOVER_STATUSES, OutcomeStatus
from services.gateway.answers import Reading
from services.gateway.body import RequestBody
from services.gateway.events import StreamReading
from services.gateway.health import LiveAttempt
from services.gateway.inbound.heads import lines
from services.gateway.overrides import Overrides
from services.gateway.providers import hides_usage, is_event_stream, passed_on, upstream_request
from services.gateway.retry_after import retry_after_seconds
from services.gateway.retry_budget import RetryBudget, RetryBudgets
from services.gateway.selection import Selection
from services.gateway.upstream import Upstream, UpstreamAnswer, UpstreamFailed
from services.gateway.watching import Trace


class Reached(msgspec.Struct, frozen=True):
    """An answer to serve."""

    endpoint: EndpointConfig
    status: OutcomeStatus
    http_status: int
    fields: bytes
    body: bytes
    reading: Reading


class ReachedStream(Reached, frozen=True):
    """An answer to pass on as it comes; ``body`` is its first chunk. ``end`` must be called."""

    reading: StreamReading
    stream: UpstreamAnswer
    attempt: LiveAttempt

    def end(self, status: OutcomeStatus) -> Attempt:
        """The stream is over: its endpoint has room again. Returns the attempt that this was."""
        return self.attempt.end(status, self.http_status, time.monotonic())


class Job(msgspec.Struct, frozen=True):
    """A request on its way to a variant. ``attempts`` grows as endpoints are asked.

    ``lines`` are added to the head of what is sent to each.
    """

    route_key: str
    variant: VariantConfig
    overrides: Overrides
    body: RequestBody
    attempts: list[Attempt]
    budget: RetryBudget
    lines: bytes = b""
    trace: Trace | None = None


class Failover:
    """Finds an answer. ``max_answer_bytes`` bounds one that is read whole."""

    def __init__(
        self, upstream: Upstream, selection: Selection, budgets: RetryBudgets, *, max_answer_bytes: int
    ) -> None:
        self._upstream = upstream
        self._selection = selection
        self._budgets = budgets
        self._max_answer_bytes = max_answer_bytes

    def budget_of(self, route_key: str, variant_key: str) -> RetryBudget:
        """Return what the requests to a variant of a route may be retried from."""
        return self._budgets.of(route_key, variant_key)

    async def reach(self, job: Job, endpoints: Mapping[str, EndpointConfig]) -> Reached:
        """Return the first good answer, else the last bad one a provider gave. Raises Unserveable."""
        last_answer: Reached | None = None
        failures: list[str] = []
        budget, now = job.budget, time.monotonic()
        budget.request(now)
        attempt = self._select(job, endpoints, now)
        while attempt is not None:
            try:
                reached = await self._ask(attempt, job)
            except UpstreamFailed as failure:
                failures.append(f"{attempt.endpoint.key}: {failure.reason}")
                job.attempts.append(attempt.end(failure.status, 0, time.monotonic()))
            except BaseException:
                job.attempts.append(attempt.end(OutcomeStatus.CALLER_GONE, 0, time.monotonic()))
                raise
            else:
                if reached.status not in FAILOVER_STATUSES:
                    return reached
                last_answer = reached
            now = time.monotonic()
            attempt = self._select(job, endpoints, now)
            if attempt is not None and not budget.spend(now):
                attempt.release(now)
                break
        if last_answer is not None:
            return last_answer
        if not failures:
            raise self._selection.shortage(job.variant, endpoints, job.body.model, now)
        raise _nobody_answered(failures)

    def _select(self, job: Job, endpoints: Mapping[str, EndpointConfig], now: float) -> LiveAttempt | None:
        tried = [attempt.endpoint_key for attempt in job.attempts] if job.attempts else ()
        return self._selection.pick(job.variant, endpoints, job.body.model, tried, now)

    async def _ask(self, attempt: LiveAttempt, job: Job) -> Reached:
        lines = job.lines
        if job.trace is not None:
            lines += job.trace.asks(attempt.endpoint)
        request = upstream_request(attempt.endpoint, attempt.secret, job.body, job.overrides, lines)
        answer: UpstreamAnswer | None = None
        try:
            answer = await self._upstream.open(request)
            first = await answer.next_chunk()
            if answer.status < 300 and job.body.streams and is_event_stream(answer.headers):
                return _stream(attempt, job, answer, first)
            body = first if answer.ended else await self._read_on(answer, first)
            return self._whole(attempt, job, answer, body)
        except BaseException:
            _close(answer)
            raise

    def _whole(self, attempt: LiveAttempt, job: Job, answer: UpstreamAnswer, body: bytes) -> Reached:
        if len(body) > self._max_answer_bytes:
            raise self._too_much()
        reading = Reading()
        if not reading.read_whole(body) and answer.status < 300:
            raise UpstreamFailed(OutcomeStatus.PROVIDER_ERROR, "its answer is not JSON")
        status = reading.status(answer.status)
        headers = passed_on(answer.headers)
        wait = retry_after_seconds(headers, time.time()) if answer.status in (429, 503) else 0.0
        job.attempts.append(attempt.end(status, answer.status, time.monotonic(), wait))
        return Reached(attempt.endpoint, status, answer.status, lines(headers), body, reading)

    async def _read_on(self, answer: UpstreamAnswer, first: bytes) -> bytes:
        parts, size, chunk = [first], len(first), first
        while chunk:
            chunk = await answer.next_chunk()
            parts.append(chunk)
            size += len(chunk)
            if size > self._max_answer_bytes:
                raise self._too_much()
        return b"".join(parts)

    def _too_much(self) -> UpstreamFailed:
        reason = f"its answer is over {self._max_answer_bytes:,} bytes"
        return UpstreamFailed(OutcomeStatus.PROVIDER_ERROR, reason)


def _stream(attempt: LiveAttempt, job: Job, answer: UpstreamAnswer, first: bytes) -> ReachedStream:
    now = time.monotonic()
    attempt.answering(now)
    # Its place in the outcome; whoever passes the stream on replaces it by what ``end`` returns.
    job.attempts.append(attempt.so_far(OutcomeStatus.OK, answer.status, now))
    endpoint, body = attempt.endpoint, job.body
    return ReachedStream(
        endpoint,
        OutcomeStatus.OK,
        answer.status,
        lines(passed_on(answer.headers)),
        first,
        StreamReading(body.surface, hides_usage=hides_usage(endpoint, body)),
        answer,
        attempt,
    )


def _close(answer: UpstreamAnswer | None) -> None:
    if answer is not None:
        answer.close()


def _nobody_answered(failures: list[str]) -> Unserveable:
    """Return the error for a variant none of whose endpoints answered."""
    if len(failures) == 1:
        return EndpointUnavailable(
            f"the endpoint that was asked could not answer ({failures[0]}), and no other may be; try again"
        )
    return AllEndpointsFailed(f"all {len(failures)} endpoints failed ({'; '.join(failures)}); try again")
