"""Passing a stream on, as it comes.

A stream that breaks after its first byte cannot be retried. The caller is told by a last event, whose data is
an error in OpenAI's shape with the code ``stream_broken``; no ``[DONE]`` follows. The official client raises
it. A stream that ends without having said that it is finished is broken too.
"""

from __future__ import annotations

import asyncio
import time

from services.domain.events import Outcome
from services.domain.status import OutcomeStatus
from services.gateway.exchange import Exchange
from services.gateway.failover import ReachedStream
from services.gateway.inbound.turn import Turn
from services.gateway.rejections import error_event
from services.gateway.surfaces import RESPONSES
from services.gateway.upstream import UpstreamFailed


async def relay(exchange: Exchange, reached: ReachedStream, fields: bytes, turn: Turn) -> Outcome:
    """Forward the stream to its end and return the outcome."""
    status = OutcomeStatus.CALLER_GONE
    try:
        turn.begin(reached.http_status, fields)
        status = await _forward(exchange, reached, turn)
    except asyncio.CancelledError:
        reached.stream.close()
        raise
    finally:
        # The attempt was noted when its first byte came; now it is known how it ended.
        exchange.attempts[-1] = reached.end(status)
    return exchange.outcome(status, reached.http_status, reached.reading)


class _Passing:
    """Passes pieces of the stream on, but for what comes with its end: ``last`` goes out together with it."""

    __slots__ = ("_exchange", "_reading", "_stream", "_turn", "last")

    def __init__(self, exchange: Exchange, reached: ReachedStream, turn: Turn) -> None:
        self._exchange = exchange
        self._reading = reached.reading
        self._stream = reached.stream
        self._turn = turn
        self.last = b""

    def take(self, piece: bytes) -> bool:
        """Take what has come; say whether the caller is ready for more."""
        exchange, reading = self._exchange, self._reading
        events = reading.feed(piece)
        if exchange.first_token is None and reading.token_seen:
            exchange.first_token = time.monotonic()
        if not events:
            return True
        if exchange.copy is not None:
            exchange.copy.take_events(events)
        if exchange.recording is not None:
            exchange.recording.take_events(events)
        if exchange.streamed is not None:
            exchange.streamed.take(events)
        if self._stream.ended:
            self.last = events
            return True
        return self._turn.send(events)


async def _forward(exchange: Exchange, reached: ReachedStream, turn: Turn) -> OutcomeStatus:
    answer, reading = reached.stream, reached.reading
    passing = _Passing(exchange, reached, turn)
    try:
        if not passing.take(reached.body):
            await turn.drained()
        while await answer.pass_on(passing.take):
            await turn.drained()
        rest = reading.end()
    except UpstreamFailed as failure:
        answer.close()
        return _break_off(exchange, reached, failure.reason, turn)
    if not (reading.finished or reading.error):
        if passing.last:
            turn.send(passing.last)
        return _break_off(exchange, reached, "it ended before the answer did", turn)
    if rest and exchange.copy is not None:
        exchange.copy.take_events(rest)
    if rest and exchange.recording is not None:
        exchange.recording.take_events(rest)
    turn.finish(passing.last + rest)
    if reading.error and not reading.content_filtered:
        return OutcomeStatus.STREAM_BROKEN
    return OutcomeStatus.CONTENT_FILTERED if reading.content_filtered else OutcomeStatus.OK


def _break_off(exchange: Exchange, reached: ReachedStream, reason: str, turn: Turn) -> OutcomeStatus:
    message = f"the stream from {reached.endpoint.key} broke off: {reason}; ask again for a whole answer"
    event = error_event(message, code="stream_broken", typed=exchange.body.surface is RESPONSES)
    if not reached.reading.between_events:
        event = b"\n\n" + event
    turn.finish(event)
    return OutcomeStatus.STREAM_BROKEN
