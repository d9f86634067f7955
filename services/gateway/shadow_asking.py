"""Asking a shadow what production was asked: the same way through endpoints, and nobody gets the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from services.domain.configuration import EndpointConfig
from services.domain.errors import Unserveable
from services.domain.events import Side
from services.domain.likeness import AnswerText
from services.domain.status import OutcomeStatus
from services.gateway.answer_text import AnswerReader
from services.gateway.answers import Reading
from services.gateway.cost import cost_nanos
from services.gateway.failover import Failover, Job, Reached, ReachedStream
from services.gateway.shadow_copies import LONGEST_ANSWER_BYTES, READ_AT_ONCE_BYTES
from services.gateway.upstream import UpstreamFailed

GRACE_SECONDS = 0.5
"""How long after the endpoints' own deadlines everything is given up."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the shadow did, and what it said: None where that is no answer."""

    side: Side
    text: AnswerText | None


class NotAsked(Exception):
    """None of the shadow's endpoints could be asked, so nothing is known of what it would have done."""


class _Ask:
    """One request to a shadow. ``seconds`` is all the time it has."""

    def __init__(self, failover: Failover, job: Job, seconds: float) -> None:
        self._failover = failover
        self._job = job
        self._seconds = seconds
        self._started = time.monotonic()
        self._first_token: float | None = None
        self._endpoint: EndpointConfig | None = None
        self._reader = AnswerReader()
        self._reading: Reading | None = None
        self._http_status = 0

    async def run(self, endpoints: Mapping[str, EndpointConfig]) -> Asked:
        """Ask, and read the answer to its end. Raises NotAsked."""
        try:
            async with asyncio.timeout(self._seconds + GRACE_SECONDS):
                status = await self._reach(endpoints)
        except TimeoutError:
            status = OutcomeStatus.TIMEOUT
        text = self._reader.text if status in (OutcomeStatus.OK, OutcomeStatus.CONTENT_FILTERED) else None
        return Asked(self._side(status), text)

    async def _reach(self, endpoints: Mapping[str, EndpointConfig]) -> OutcomeStatus:
        try:
            reached = await self._failover.reach(self._job, self._hurried(endpoints))
        except Unserveable as error:
            if not self._job.attempts:
                raise NotAsked from error
            return self._job.attempts[-1].status
        self._endpoint, self._reading = reached.endpoint, reached.reading
        self._http_status = reached.http_status
        if isinstance(reached, ReachedStream):
            return await self._read_stream(reached)
        return self._read_whole(reached)

    def _read_whole(self, reached: Reached) -> OutcomeStatus:
        self._reader.read_whole(reached.body)
        return reached.status

    async def _read_stream(self, reached: ReachedStream) -> OutcomeStatus:
        status = OutcomeStatus.CALLER_GONE
        try:
            status = await self._follow(reached)
        except UpstreamFailed as failure:
            status = failure.status
        except BaseException:
            reached.stream.close()
            raise
        finally:
            reached.end(status)
        return status

    async def _follow(self, reached: ReachedStream) -> OutcomeStatus:
        answer, reading, piece, size, read = reached.stream, reached.reading, reached.body, 0, 0
        while piece:
            size += len(piece)
            read += len(piece)
            if size > LONGEST_ANSWER_BYTES:
                answer.close()
                return OutcomeStatus.STREAM_BROKEN
            self._reader.read_events(reading.feed(piece))
            if reading.token_seen and self._first_token is None:
                self._first_token = time.monotonic()
            if read > READ_AT_ONCE_BYTES:
                read = 0
                await asyncio.sleep(0)
            piece = await answer.next_chunk()
        self._reader.read_events(reading.end())
        if reading.content_filtered:
            return OutcomeStatus.CONTENT_FILTERED
        return OutcomeStatus.OK if reading.finished and not reading.error else OutcomeStatus.STREAM_BROKEN

    def _hurried(self, endpoints: Mapping[str, EndpointConfig]) -> dict[str, EndpointConfig]:
        """Return the variant's endpoints with no more time than the shadow has: then they time out, not we,
        and their breakers hear of it."""
        keys = self._job.variant.endpoint_keys
        return {key: _hurry(endpoints[key], self._seconds) for key in keys if key in endpoints}

    def _side(self, status: OutcomeStatus) -> Side:
        now, started = time.monotonic(), self._started
        reading, prices = self._reading, None if self._endpoint is None else self._endpoint.prices
        prompt_tokens = None if reading is None else reading.prompt_tokens
        completion_tokens = None if reading is None else reading.completion_tokens
        cached_tokens = None if reading is None else reading.cached_tokens
        first_token = self._first_token
        return Side(
            variant_key=self._job.variant.key,
            status=status,
            http_status=self._http_status,
            latency_us=int((now - started) * 1e6),
            first_token_us=None if first_token is None else int((first_token - started) * 1e6),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost_nanos=cost_nanos(prices, prompt_tokens, completion_tokens, cached_tokens),
        )


async def ask(
    failover: Failover, job: Job, endpoints: Mapping[str, EndpointConfig], *, seconds: float
) -> Asked:
    """Ask a shadow and return what came of it, within about ``seconds``, whatever its endpoints do.

    Raises NotAsked.
    """
    return await _Ask(failover, job, seconds).run(endpoints)


def _hurry(endpoint: EndpointConfig, seconds: float) -> EndpointConfig:
    return msgspec.structs.replace(
        endpoint,
        connect_timeout_seconds=min(endpoint.connect_timeout_seconds, seconds),
        first_byte_timeout_seconds=min(endpoint.first_byte_timeout_seconds, seconds),
        total_timeout_seconds=min(endpoint.total_timeout_seconds, seconds),
    )
