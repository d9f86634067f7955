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


async def _forward(exchange: Exchange, reached: ReachedStream, turn: Turn) -> OutcomeStatus:
    answer, reading, piece = reached.stream, reached.reading, reached.body
    try:
        while piece:
            events = reading.feed(piece)
            if reading.token_seen and exchange.first_token is None:
                exchange.first_token = time.monotonic()
            if events:
                if exchange.copy is not None:
                    exchange.copy.take_events(events)
                if not turn.send(events):
                    await turn.drained()
            piece = await answer.next_chunk()
        rest = reading.end()
    except UpstreamFailed as failure:
        answer.close()
        return _break_off(exchange, reached, failure.reason, turn)
    if not (reading.finished or reading.error):
        return _break_off(exchange, reached, "it ended before the answer did", turn)
    if rest and exchange.copy is not None:
        exchange.copy.take_events(rest)
    turn.finish(rest)
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
