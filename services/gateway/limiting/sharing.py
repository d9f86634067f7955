"""Carries beats to Kafka and back, and says so when it cannot."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from services.gateway.limiting.beats import BEAT_SECONDS, Beats
from services.gateway.limiting.judging import DAY_SECONDS
from services.gateway.limiting.ledger import Ledger
from services.messaging.consumer import follow
from services.messaging.consumption_codec import (
    BEATS,
    DAYS,
    Beat,
    DayTotal,
    beat_key,
    day_key,
    decode_beat,
    decode_day_total,
    decode_pulse,
    encode_consumption,
)
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames

logger = logging.getLogger(__name__)

RECENT_SECONDS = 130.0
"""Of beats, what a replica reads that begins: a minute, and a minute that clocks may differ by."""
AFTER_FAILURE_SECONDS = 0.2
FIRST_MOMENTS_SECONDS = 2.0
"""How long requests wait for a replica that begins to hear the others."""
ANSWER_SECONDS = 0.2
"""From its first beat until a replica's requests are decided: whoever was alone so far has told all by then,
and whoever began in the same moment is known."""
SWEEP_SHARE = BEAT_SECONDS / 60
"""Each meter is looked at once a minute."""


class Sharing:
    """One replica among others; listens to ``consumption.v1`` (``services.messaging.consumer.Listener``).

    ``clock`` is monotonic, ``wall`` tells the day.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        ledger: Ledger,
        beats: Beats,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._kafka = kafka
        self._topic = TopicNames(kafka.topic_prefix).consumption
        self._ledger = ledger
        self._beats = beats
        self._publisher = publisher
        self._clock = clock
        self._wall = wall
        self._key = beat_key(beats.replica)
        self._woken = asyncio.Event()
        self._joined = asyncio.Event()
        self.joining = True
        """Whether it is too early to know what others use."""
        self._sending: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._rest_until = 0.0
        self._told: tuple[bool, int] | None = None
        self._heard_itself = False
        self.begun = False
        """Whether it has begun to share: before, nothing is limited."""

    # For requests.

    def wake(self) -> None:
        """There is something to tell that cannot wait."""
        self._woken.set()

    async def joined(self) -> None:
        """Wait for the others to be heard, unless that takes long."""
        await self._joined.wait()

    # For the listener.

    def begin(self) -> None:
        """Reading starts."""

    def records(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Hear what came."""
        now, today = self._clock(), int(self._wall() / DAY_SECONDS)
        for record in records:
            if record.partition == BEATS:
                self._hear(record, now, today)
            elif record.partition == DAYS:
                total = decode_day_total(record.value)
                if total is not None:
                    self._beats.hear_total(total, today)
        self._note_standing()

    def caught_up(self) -> None:
        """What was there at the start is heard; what is said now is heard last."""
        self.begun = True

    # For the gateway.

    async def run(self, limited: asyncio.Event) -> NoReturn:
        """Share, from when there is any limit, for ever."""
        await limited.wait()
        begin = asyncio.get_running_loop().call_later(FIRST_MOMENTS_SECONDS, self._join)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(follow(self._kafka, self._topic, self, recent={BEATS: RECENT_SECONDS}))
                group.create_task(self._beat())
        finally:
            begin.cancel()
        raise AssertionError("both run for ever")

    async def stop(self, *, within_seconds: float) -> None:
        """Say goodbye, and save what was used today."""
        under_way = [task for task in (self._sending, self._saving) if task is not None]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        if self._ledger.standing.together:
            try:
                async with asyncio.timeout(within_seconds):
                    await self._send(self._beats.beat(self._clock(), goodbye=True))
                    while totals := self._beats.day_totals(math.inf):
                        await self._save(totals)
            except TimeoutError:
                logger.info("stopping without having said goodbye to the other gateways")
        await self._publisher.stop()

    def state(self) -> dict[str, object]:
        """Return what /readyz says."""
        standing = self._ledger.standing
        return {
            "ok": not self.begun or standing.together,
            "shared": standing.together,
            "gateways": standing.replicas,
            "silent_seconds": self._beats.silent_seconds(self._clock()),
            "tracked": len(self._ledger.meters.by_scope),
            "held": self._ledger.held,
        }

    def _hear(self, record: ConsumerRecord[bytes, bytes], now: float, today: int) -> None:
        if record.key == self._key:
            pulse = decode_pulse(record.value)
            if pulse is not None:
                self._beats.hear_own(
                    pulse.sequence, pulse.sent_ms, record.offset, record.timestamp, now, today
                )
                if self._ledger.standing.together and not self._heard_itself:
                    self._heard_itself = True
                    asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._join)
            return
        beat = decode_beat(record.value)
        if beat is not None:
            self._beats.hear(beat, record.offset, record.timestamp, now, today)
            if self._beats.called:
                self.wake()

    async def _beat(self) -> NoReturn:
        while True:
            await self._pause()
            now, day = self._clock(), int(self._wall() / DAY_SECONDS)
            self._beats.tick(now, day)
            self._ledger.meters.sweep(int(now * 4), day, SWEEP_SHARE)
            self._note_standing()
            if self.begun and now >= self._rest_until:
                self._send_what_is_due(now)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def _send_what_is_due(self, now: float) -> None:
        create = asyncio.get_running_loop().create_task
        if (self._sending is None or self._sending.done()) and self._beats.due(now):
            self._sending = create(self._send(self._beats.beat(now)))
        if self._saving is None or self._saving.done():
            totals = self._beats.day_totals(now)
            if totals:
                self._saving = create(self._save(totals))

    async def _send(self, beat: Beat) -> None:
        try:
            await self._publisher.send(self._topic, encode_consumption(beat), key=self._key, partition=BEATS)
        except KafkaError:
            # The publisher logs it. Whether it arrived is not known, and telling it again changes nothing.
            self._beats.lost(beat.sequence)
            self._rest_until = self._clock() + AFTER_FAILURE_SECONDS
        else:
            if self._ledger.docket.claims or self._beats.called:
                self.wake()

    async def _save(self, totals: list[DayTotal]) -> None:
        await asyncio.gather(*(self._save_one(total) for total in totals))

    async def _save_one(self, total: DayTotal) -> None:
        key = day_key(total.replica, total.day[0], total.scope)
        try:
            await self._publisher.send(self._topic, encode_consumption(total), key=key, partition=DAYS)
        except KafkaError:
            self._beats.not_saved(total)

    def _join(self) -> None:
        self.joining = False
        self._joined.set()

    def _note_standing(self) -> None:
        standing = self._ledger.standing
        found = standing.together, standing.replicas
        if found == self._told or (self.joining and self._told is None):
            return
        was_together = self._told is None or self._told[0]
        self._told = found
        if standing.together:
            logger.info("limits: shared by %d gateway processes", standing.replicas)
        elif was_together:
            logger.warning(
                "limits: nothing was heard through %s for too long; until it is, this gateway allows its "
                "part of each limit, one of %d",
                self._topic,
                standing.replicas,
            )
