"""Telling the owners of experiments that new counts are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import NoReturn
from uuid import UUID

from aiokafka.errors import KafkaError

from services.domain.events import Touched
from services.messaging.codec import encode_event
from services.messaging.publisher import Publisher
from services.messaging.topics import touched_partition

logger = logging.getLogger(__name__)


class Notifier:
    """Sends ``touched.v1``. Never waited for, and lost when Kafka is down: the owners' sweep repairs it."""

    def __init__(self, publisher: Publisher, topic: str) -> None:
        self._publisher = publisher
        self._topic = topic
        self._waiting: dict[UUID, Touched] = {}
        self._news = asyncio.Event()

    def notify(self, touched: Iterable[Touched]) -> None:
        """Send these soon; what was not sent yet about the same experiment is replaced."""
        for one in touched:
            self._waiting[one.experiment_id] = one
            self._news.set()

    async def run(self) -> NoReturn:
        """Send for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting = self._waiting, {}
            try:
                await asyncio.gather(*(self._send(touched) for touched in waiting.values()))
            except KafkaError as error:
                logger.warning("could not tell who evaluates: %s; the next sweep finds out", error)

    async def _send(self, touched: Touched) -> None:
        await self._publisher.send(
            self._topic,
            encode_event(touched),
            key=str(touched.experiment_id).encode(),
            partition=touched_partition(touched.experiment_id),
        )
