"""The Faust app: two agents on two topics, and none of what Faust does about offsets, tables and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.types import StreamT

from services.domain.events import Touched
from services.messaging.codec import decode_touched
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames
from services.workers.assignor import CompleteAssignor
from services.workers.counts import Record
from services.workers.doubt import end_process
from services.workers.settings import WorkerSettings
from services.workers.transport import Ownership, Transport

GROUP = "headgate-workers"
BUFFERED_RECORDS = 256
"""Per topic; each may be a batch of 64 KB."""


class NoTables(TableManager):
    """Faust's table manager without its second of waiting for tables: there are none."""

    async def on_start(self) -> None:
        """Say so at once: the consumer subscribes after this."""
        await self._update_channels()
        await self.recovery.start()


class WorkerApp(faust.App):
    """A Faust app whose consumer claims, and which never limps on after an error."""

    ownership: Ownership

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Nothing is kept on disk."""

    def _crash(self, reason: BaseException) -> None:
        end_process(f"Faust crashed: {reason!r}", reason)

    async def on_stop(self) -> None:
        """Stop reading, then write what was counted, then leave the group."""
        await super().on_stop()
        await self.ownership.release()


def build_app(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    ownership: Ownership,
    *,
    on_record: Callable[[Record], Awaitable[None]],
    on_touched: Callable[[Touched], object],
) -> WorkerApp:
    """Return an app, not started, that hands over what it reads."""
    topics = TopicNames(kafka.topic_prefix)
    app = WorkerApp(
        kafka.topic_prefix + GROUP,
        broker=[f"kafka://{address.strip()}" for address in kafka.kafka.split(",")],
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_max_poll_records=500,
        consumer_auto_offset_reset="none",
        stream_buffer_maxsize=BUFFERED_RECORDS,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        PartitionAssignor=CompleteAssignor,
        TableManager=NoTables,
        store="memory://",
    )
    app.ownership = ownership
    _add_agent(app, topics.outcomes, lambda message: on_record(_record(message)))

    async def touched(message: Any) -> None:
        if message.value is not None:
            on_touched(decode_touched(message.value))

    _add_agent(app, topics.touched, touched)
    return app


def _add_agent(app: WorkerApp, topic_name: str, handle: Callable[[Any], Awaitable[None]]) -> None:
    topic = app.topic(
        topic_name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        acks=False,
    )

    async def agent(stream: StreamT[bytes]) -> None:
        try:
            async for event in stream.events():
                await handle(event.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
            # Faust would start the agent again in place, behind the record that it failed at.
            end_process(f"the agent of {topic_name} failed: {error!r}", error)

    app.agent(topic, name=topic_name)(agent)


def _record(message: Any) -> Record:
    return Record(message.partition, message.offset, round(message.timestamp * 1000), message.value)
