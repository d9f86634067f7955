"""Sending webhooks: what the transactions left to be delivered, signed, tried again, and booked."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.errors import InvalidDefinition
from services.domain.webhook import next_try_after, signature, signing_key
from services.routing.decisions import UNREACHABLE
from services.routing.metrics import RoutingMetrics
from services.storage import deliveries
from services.storage.deliveries import Delivery

logger = logging.getLogger(__name__)

SENDERS = 8
"""How many webhooks are told of something at a time: one that hangs does not hold up the others."""
TRY_SECONDS = 15.0
"""How long a receiver may take. Well below ``deliveries.TAKEN_FOR``."""
LONGEST_ERROR = 500


class Refused(Exception):
    """A try failed; ``status`` is what the receiver answered, None where it did not."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message[:LONGEST_ERROR])
        self.status = status


def sending_session(try_seconds: float = TRY_SECONDS) -> aiohttp.ClientSession:
    """Return a session to send with: without cookies, and without a proxy that the environment names."""
    timeout = aiohttp.ClientTimeout(total=try_seconds)
    return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())


async def send_webhooks(
    engine: AsyncEngine,
    look_every_seconds: float,
    *,
    try_seconds: float = TRY_SECONDS,
    metrics: RoutingMetrics | None = None,
) -> None:
    """Deliver for ever."""
    metrics = metrics or RoutingMetrics()
    room = asyncio.Semaphore(SENDERS)
    async with sending_session(try_seconds) as session, asyncio.TaskGroup() as group:
        while True:
            await room.acquire()
            delivery = await _take(engine)
            if delivery is None:
                room.release()
                await asyncio.sleep(look_every_seconds)
                continue
            sending = group.create_task(_send_and_book(engine, session, delivery, metrics))
            sending.add_done_callback(lambda _: room.release())


async def _take(engine: AsyncEngine) -> Delivery | None:
    try:
        async with engine.begin() as connection:
            return await deliveries.take(connection)
    except UNREACHABLE as error:
        logger.warning("cannot read webhook deliveries: %s; trying again", error.orig)
        return None


async def _send_and_book(
    engine: AsyncEngine, session: aiohttp.ClientSession, delivery: Delivery, metrics: RoutingMetrics
) -> None:
    try:
        await send(engine, session, delivery, metrics)
    except UNREACHABLE as error:
        # It is sent again when its time is over: a receiver knows it by its id.
        logger.warning("cannot book webhook delivery %s: %s", delivery.delivery_id, error.orig)


async def send(
    engine: AsyncEngine,
    session: aiohttp.ClientSession,
    delivery: Delivery,
    metrics: RoutingMetrics | None = None,
) -> None:
    """Send a message that was taken, and book what came of it."""
    metrics, started = metrics or RoutingMetrics(), time.monotonic()
    key = delivery.webhook.key
    try:
        status = await _post(session, delivery)
    except Refused as refused:
        after = next_try_after(delivery.tries)
        metrics.tried(key, "given_up" if after is None else "failed", time.monotonic() - started)
        await _book_failed(engine, delivery, refused, after)
    else:
        metrics.tried(key, "delivered", time.monotonic() - started)
        async with engine.begin() as connection:
            await deliveries.book_delivered(connection, delivery, status)


async def _book_failed(
    engine: AsyncEngine, delivery: Delivery, refused: Refused, after: timedelta | None
) -> None:
    logger.warning(
        "webhook %s did not take %s at try %d: %s",
        delivery.webhook.key,
        delivery.event,
        delivery.tries,
        refused,
    )
    async with engine.begin() as connection:
        await deliveries.book_failed(
            connection, delivery, status=refused.status, error=str(refused), next_try_after=after
        )


async def _post(session: aiohttp.ClientSession, delivery: Delivery) -> int:
    body = json.dumps(delivery.body, separators=(",", ":")).encode()
    message_id, now = f"msg_{delivery.delivery_id.hex}", int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "Headgate-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(await _key(delivery.webhook.secret), message_id, now, body),
    }
    url = delivery.webhook.url
    try:
        # No redirects: a message goes where its webhook says, or nowhere.
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            return await _accepted(response)
    except TimeoutError:
        raise Refused(None, f"did not answer within {session.timeout.total:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Refused(None, f"cannot be reached: {error!r}") from error


async def _accepted(response: aiohttp.ClientResponse) -> int:
    if 200 <= response.status < 300:
        return response.status
    said = (await response.content.read(LONGEST_ERROR)).decode(errors="replace").replace("\0", "")
    moved = response.headers.get("Location")
    where = (
        f" and points to {moved}; redirects are not followed, so change the webhook's url" if moved else ""
    )
    raise Refused(response.status, f"answered {response.status}{where or f': {said}'}")


async def _key(reference: str) -> bytes:
    kind, _, place = reference.partition(":")
    try:
        secret = os.environ.get(place) if kind == "env" else await asyncio.to_thread(Path(place).read_text)
    except (OSError, ValueError) as error:
        raise Refused(None, f"the signing secret {reference} cannot be read: {error}") from None
    if not secret:
        raise Refused(None, f"the signing secret {reference} is not set where routing runs")
    try:
        return signing_key(secret)
    except InvalidDefinition as error:
        raise Refused(None, f"{reference} {error.problem}") from None
