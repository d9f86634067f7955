"""Forgetting what was kept long enough: messages to webhooks, answers to repeat, shadows' comparisons."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.routing.decisions import UNREACHABLE
from services.storage import comparison_retention, deliveries, idempotency

logger = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
COMPARISONS_KEPT_DAYS = 30.0


async def forget_for_ever(
    engine: AsyncEngine,
    every_seconds: float = EVERY_SECONDS,
    *,
    comparisons_kept_days: float = COMPARISONS_KEPT_DAYS,
) -> None:
    """Forget now and every so often, for ever."""
    while True:
        try:
            await forget(engine, comparisons_kept_days)
        except UNREACHABLE as error:
            logger.warning("cannot forget old messages and answers: %s", error.orig)
        await asyncio.sleep(every_seconds)


async def forget(engine: AsyncEngine, comparisons_kept_days: float = COMPARISONS_KEPT_DAYS) -> int:
    """Forget everything that is old enough, a little at a time; return how many rows that was."""
    total = 0
    old_comparisons = partial(comparison_retention.prune, kept_days=comparisons_kept_days)
    for prune in (deliveries.prune, idempotency.prune, old_comparisons):
        while True:
            async with engine.begin() as connection:
                forgotten = await prune(connection)
            total += forgotten
            if not forgotten:
                break
    return total
