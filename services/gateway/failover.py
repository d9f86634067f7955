"""Asking a variant's endpoints, one after the other, until one has the first byte of an answer.

Nothing has been sent to the caller yet, so a failure here can still be made good by the next endpoint. An
answer that is not a stream is read whole for the same reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from services.domain.configuration import EndpointConfig, VariantConfig
from services.domain.errors import AllEndpointsFailed, EndpointUnavailable, NoHealthyEndpoints, Unserveable
from services.domain.events import Attempt
from services.domain.status import FAILOVER_STATUSES, OutcomeStatus, status_of_response
from services.gateway.answers import Reading, StreamReading
from services.gateway.asgi import Headers
from services.gateway.body import ChatBody, Overrides
from services.gateway.providers import is_event_stream, passed_on, upstream_request
from services.gateway.selection import Candidate, Selection
from services.gateway.upstream import Upstream, UpstreamAnswer, UpstreamFailed, UpstreamRequest


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer to serve."""

    endpoint_key: str
    started: float
    status: OutcomeStatus
    http_status: int
    headers: Headers
    body: bytes
    reading: Reading

    def as_attempt(self, status: OutcomeStatus) -> Attempt:
        """Return the attempt this was, now that it is over."""
        return _attempt(self.endpoint_key, status, self.http_status, self.started)


@dataclass(frozen=True, slots=True)
class ReachedStream(Reached):
    """An answer to pass on as it comes; ``body`` is its first chunk."""

    reading: StreamReading
    stream: UpstreamAnswer


@dataclass(frozen=True, slots=True)
class Job:
    """A request on its way to a variant. ``attempts`` grows as endpoints fail."""

    variant: VariantConfig
    overrides: Overrides
    body: ChatBody
    attempts: list[Attempt]

    def request_to(self, candidate: Candidate) -> UpstreamRequest:
        """Return the request as the endpoint is asked."""
        endpoint, secret = candidate
        model = endpoint.model or self.variant.model or self.body.model
        body = self.overrides.apply(self.body, endpoint.model)
        return upstream_request(endpoint, secret, model, body, streams=self.body.streams)


class Failover:
    """Finds an answer. ``max_answer_bytes`` bounds one that is read whole."""

    def __init__(self, upstream: Upstream, selection: Selection, *, max_answer_bytes: int) -> None:
        self._upstream = upstream
        self._selection = selection
        self._max_answer_bytes = max_answer_bytes

    async def reach(self, job: Job, endpoints: Mapping[str, EndpointConfig]) -> Reached:
        """Return the first good answer, else the last bad one a provider gave. Raises Unserveable."""
        last_answer: Reached | None = None
        failures: list[UpstreamFailed] = []
        for candidate in self._selection.order(job.variant, endpoints):
            key, started = candidate[0].key, time.monotonic()
            try:
                reached = await self._ask(candidate, job, started)
            except UpstreamFailed as failure:
                failures.append(failure)
                job.attempts.append(_attempt(key, failure.status, 0, started))
            except asyncio.CancelledError:
                job.attempts.append(_attempt(key, OutcomeStatus.CALLER_GONE, 0, started))
                raise
            else:
                job.attempts.append(reached.as_attempt(reached.status))
                if reached.status not in FAILOVER_STATUSES:
                    return reached
                last_answer = reached
        if last_answer is not None:
            return last_answer
        raise _nobody_answered(job, failures)

    async def _ask(self, candidate: Candidate, job: Job, started: float) -> Reached:
        endpoint = candidate[0]
        answer: UpstreamAnswer | None = None
        try:
            async with asyncio.timeout(endpoint.first_byte_timeout_seconds):
                answer = await self._upstream.open(job.request_to(candidate))
                first = await answer.next_chunk()
            if answer.status < 300 and job.body.streams and is_event_stream(answer.headers):
                return _reached_stream(endpoint.key, started, answer, first)
            return await self._read_whole(endpoint.key, started, answer, first)
        except TimeoutError:
            _close(answer)
            seconds = endpoint.first_byte_timeout_seconds
            raise UpstreamFailed(OutcomeStatus.TIMEOUT, f"no first byte within {seconds:g} s") from None
        except BaseException:
            _close(answer)
            raise

    async def _read_whole(self, key: str, started: float, answer: UpstreamAnswer, first: bytes) -> Reached:
        parts, size, chunk = [first], len(first), first
        while chunk:
            chunk = await answer.next_chunk()
            parts.append(chunk)
            size += len(chunk)
            if size > self._max_answer_bytes:
                reason = f"its answer is over {self._max_answer_bytes:,} bytes"
                raise UpstreamFailed(OutcomeStatus.PROVIDER_ERROR, reason)
        body = b"".join(parts)
        reading = Reading()
        reading.read(body)
        status = status_of_response(answer.status, content_filtered=reading.content_filtered)
        return Reached(key, started, status, answer.status, passed_on(answer.headers), body, reading)


def _reached_stream(key: str, started: float, answer: UpstreamAnswer, first: bytes) -> ReachedStream:
    headers = passed_on(answer.headers)
    return ReachedStream(
        key, started, OutcomeStatus.OK, answer.status, headers, first, StreamReading(), answer
    )


def _close(answer: UpstreamAnswer | None) -> None:
    if answer is not None:
        answer.close()


def _attempt(endpoint_key: str, status: OutcomeStatus, http_status: int, started: float) -> Attempt:
    return Attempt(endpoint_key, status, http_status, int((time.monotonic() - started) * 1e6))


def _nobody_answered(job: Job, failures: list[UpstreamFailed]) -> Unserveable:
    """Return the error for a variant none of whose endpoints answered at all."""
    tried = [
        f"{attempt.endpoint_key}: {failure}" for attempt, failure in zip(job.attempts, failures, strict=True)
    ]
    if not tried:
        return NoHealthyEndpoints(
            f"variant {job.variant.key!r} has no endpoint that can be asked: "
            "each is drained, unknown here or without its secret; see /readyz of the gateway"
        )
    if len(tried) == 1:
        return EndpointUnavailable(f"the only endpoint could not answer ({tried[0]}); try again")
    return AllEndpointsFailed(f"all {len(tried)} endpoints failed ({'; '.join(tried)}); try again")
