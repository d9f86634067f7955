"""Writing results while outcomes are counted: one experiment after the other, whoever waits longest first.

Results are for people and never hold up a decision: they have a connection of their own and at most half of
the time, so with many experiments each is renewed less often.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import results
from services.workers.closing import renew_closed
from services.workers.flushing import STORAGE_ERRORS
from services.workers.watch import Watch

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.1
"""How long to rest where nothing is due."""
CLOSED_EVERY_SECONDS = 3.0
"""How often to look for phases that are over and were counted into since."""


class Renewal:
    """Renews the results of watched experiments, and of phases that are over."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        watches: Callable[[], Iterable[Watch]],
        owns: Callable[[UUID], bool],
        topic: str,
        partitions: int,
    ) -> None:
        self._engine = engine
        self._watches = watches
        self._owns = owns
        self._topic = topic
        self._partitions = partitions
        self._closed_at = -math.inf

    async def run(self) -> Never:
        """Write whatever is due, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            wrote = await self._renew_one()
            if started - self._closed_at >= CLOSED_EVERY_SECONDS:
                self._closed_at = started
                wrote += await self._renew_closed()
            await asyncio.sleep(loop.time() - started if wrote else IDLE_SECONDS)

    async def _renew_one(self) -> int:
        waiting = [
            (seconds, watch.experiment_id, watch)
            for watch in self._watches()
            if (seconds := watch.results_wait_seconds()) is not None
        ]
        if not waiting:
            return 0
        _, experiment_id, watch = max(waiting)
        await self._guarded(watch.renew_results(), str(experiment_id))
        return 1

    async def _renew_closed(self) -> int:
        try:
            async with self._engine.connect() as connection:
                outdated = [
                    key for key in await results.outdated(connection) if self._owns(key.experiment_id)
                ]
        except STORAGE_ERRORS as error:
            logger.warning("cannot look for results to renew: %s", error)
            return 0
        for key in outdated:
            renewal = renew_closed(self._engine, key, topic=self._topic, partitions=self._partitions)
            await self._guarded(renewal, key.experiment)
        return len(outdated)

    async def _guarded(self, renewal: Awaitable[None], name: str) -> None:
        try:
            await renewal
        except STORAGE_ERRORS as error:
            logger.warning("the results of %s are not written now: %s", name, error)
        except Exception:
            # Results that cannot be computed must not end the counting of all; it is loud here.
            logger.exception("the results of %s cannot be computed", name)
