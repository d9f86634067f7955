"""Where decisions come from: ``decisions.v1`` as they are published, and Postgres for any that got lost."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import msgspec
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.messaging.codec import decode_decision
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames
from services.routing.apply import apply_decision
from services.routing.metrics import RoutingMetrics
from services.storage import decisions

logger = logging.getLogger(__name__)

GROUP = "headgate-routing"
RETRY_SECONDS = 0.5
UNREACHABLE = (sa.exc.OperationalError, sa.exc.InterfaceError)
"""Postgres is away or a lock was not to be had: the only errors that another try can mend."""
SESSION_TIMEOUT_MS = 10_000


async def consume(engine: AsyncEngine, settings: KafkaSettings, metrics: RoutingMetrics) -> None:
    """Apply every published decision, for ever; an offset is committed after the decision's transaction."""
    while True:
        consumer = _consumer(settings)
        try:
            await consumer.start()
            async for record in consumer:
                await _apply_record(engine, record, metrics)
                await consumer.commit()
        except (KafkaError, OSError) as error:
            logger.warning("cannot read decisions from Kafka: %r; trying again", error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            await consumer.stop()


async def sweep(engine: AsyncEngine, interval_seconds: float, metrics: RoutingMetrics) -> None:
    """Apply what was recorded and not applied, now and every so often."""
    while True:
        try:
            async with engine.connect() as connection:
                waiting = await decisions.recorded(connection)
        except UNREACHABLE as error:
            logger.warning("cannot read recorded decisions: %s; trying again", error.orig)
            waiting = []
        for decision_id in waiting:
            await _apply_until_done(engine, decision_id, metrics)
        await asyncio.sleep(interval_seconds)


async def _apply_record(
    engine: AsyncEngine, record: ConsumerRecord[bytes, bytes], metrics: RoutingMetrics
) -> None:
    try:
        event = decode_decision(record.value or b"")
    except msgspec.DecodeError as error:
        # Its row in Postgres, if it has one, is found by the sweep.
        logger.warning("skipped an unreadable decision at %d/%d: %s", record.partition, record.offset, error)
        return
    await _apply_until_done(engine, event.decision_id, metrics)


async def _apply_until_done(engine: AsyncEngine, decision_id: UUID, metrics: RoutingMetrics) -> None:
    while True:
        try:
            await apply_decision(engine, decision_id, metrics)
        except UNREACHABLE as error:
            logger.warning("cannot apply decision %s: %s; trying again", decision_id, error.orig)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


def _consumer(settings: KafkaSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        TopicNames(settings.topic_prefix).decisions,
        bootstrap_servers=settings.kafka,
        group_id=settings.topic_prefix + GROUP,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
    )
