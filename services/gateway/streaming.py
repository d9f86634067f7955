"""Passing a stream on, chunk by chunk.

A stream that breaks after its first byte cannot be retried. The caller is told by a last event, whose data is
an error in OpenAI's shape with the code ``stream_broken``; no ``[DONE]`` follows. The official client raises
it.
"""

from __future__ import annotations

import asyncio
import time

from services.domain.events import Outcome
from services.domain.status import OutcomeStatus
from services.gateway.asgi import Headers, Send
from services.gateway.exchange import Exchange
from services.gateway.failover import ReachedStream
from services.gateway.rejections import error_body
from services.gateway.upstream import UpstreamFailed


async def relay(exchange: Exchange, reached: ReachedStream, headers: Headers, send: Send) -> Outcome:
    """Forward the stream to its end and return the outcome."""
    exchange.first_token = time.monotonic()
    status = OutcomeStatus.CALLER_GONE
    try:
        await send({"type": "http.response.start", "status": reached.http_status, "headers": headers})
        status = await _forward(reached, send)
    except asyncio.CancelledError:
        reached.stream.close()
        raise
    finally:
        # The attempt was noted when its first byte came; now it is known how it ended.
        exchange.attempts[-1] = reached.as_attempt(status)
    return exchange.outcome(status, reached.http_status, reached.reading)


async def _forward(reached: ReachedStream, send: Send) -> OutcomeStatus:
    answer, reading, chunk = reached.stream, reached.reading, reached.body
    try:
        while chunk:
            reading.feed(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await answer.next_chunk()
    except UpstreamFailed as failure:
        answer.close()
        await send({"type": "http.response.body", "body": _broken(reached, failure)})
        return OutcomeStatus.STREAM_BROKEN
    await send({"type": "http.response.body", "body": b""})
    if reading.error and not reading.content_filtered:
        return OutcomeStatus.STREAM_BROKEN
    return OutcomeStatus.CONTENT_FILTERED if reading.content_filtered else OutcomeStatus.OK


def _broken(reached: ReachedStream, failure: UpstreamFailed) -> bytes:
    message = (
        f"the stream from {reached.endpoint_key} broke off: {failure.reason}; ask again for a whole answer"
    )
    # The blank lines end an event that was cut in the middle.
    return b"\n\ndata: " + error_body(message, status=502, code="stream_broken") + b"\n\n"
