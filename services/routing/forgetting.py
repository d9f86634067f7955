"""Forgetting what the control plane kept long enough: messages to webhooks, and answers to repeat."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from services.routing.decisions import UNREACHABLE
from services.storage import deliveries, idempotency

logger = logging.getLogger(__name__)

EVERY_SECONDS = 600.0


async def forget_for_ever(engine: AsyncEngine, every_seconds: float = EVERY_SECONDS) -> None:
    """Forget now and every so often, for ever."""
    while True:
        try:
            await forget(engine)
        except UNREACHABLE as error:
            logger.warning("cannot forget old messages and answers: %s", error.orig)
        await asyncio.sleep(every_seconds)


async def forget(engine: AsyncEngine) -> int:
    """Forget everything that is old enough, a little at a time; return how many rows that was."""
    total = 0
    for prune in (deliveries.prune, idempotency.prune):
        while True:
            async with engine.begin() as connection:
                forgotten = await prune(connection)
            total += forgotten
            if not forgotten:
                break
    return total
