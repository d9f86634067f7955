"""Looking at single records of ``outcomes.v1`` beside the consumer group."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.messaging.settings import KafkaSettings
from services.workers.positions import Fingerprint, fingerprint


async def read_fingerprints(
    kafka: KafkaSettings, topic: str, offsets: Mapping[int, int]
) -> dict[int, Fingerprint]:
    """Return the fingerprint of one record in each partition. The offsets must exist."""
    if not offsets:
        return {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.kafka, enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in offsets])
        for partition, offset in offsets.items():
            consumer.seek(TopicPartition(topic, partition), offset)
        found: dict[int, Fingerprint] = {}
        while len(found) < len(offsets):
            for where, records in (await consumer.getmany(timeout_ms=1000)).items():
                # The first record is the one at the offset, or the next where that one is gone.
                found.setdefault(where.partition, fingerprint(records[0].timestamp, records[0].value))
                consumer.pause(where)
        return found
    finally:
        await consumer.stop()
