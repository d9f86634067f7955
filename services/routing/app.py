"""The routing service: applies decisions to the traffic, carries the outbox to Kafka, and tells webhooks."""

from __future__ import annotations

import asyncio

from services.messaging.outbox import OutboxRelay
from services.messaging.settings import KafkaSettings
from services.messaging.topics import check_topics
from services.routing.decisions import consume, sweep
from services.routing.forgetting import forget_for_ever
from services.routing.looking import look_for_ever
from services.routing.metrics import Gauges, RoutingMetrics
from services.routing.settings import RoutingSettings
from services.routing.webhooks import send_webhooks
from services.storage.installation import read_installation
from services.storage.outbox import OutboxQueue
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings


async def serve(
    settings: RoutingSettings,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    stop: asyncio.Event,
    metrics: RoutingMetrics | None = None,
) -> None:
    """Run until ``stop`` is set.

    Raises InstallationMismatch where the topics are not what the installation recorded.
    """
    metrics = metrics or RoutingMetrics()
    engine = create_engine(database, application_name="headgate-routing")
    relay = OutboxRelay(kafka, OutboxQueue(engine))
    metrics.registry.register(Gauges(metrics, relay))
    try:
        async with engine.connect() as connection:
            installation = await read_installation(connection)
        await check_topics(kafka, installation.outcome_partitions)
        async with asyncio.TaskGroup() as group:
            endless = [
                group.create_task(consume(engine, kafka, metrics)),
                group.create_task(sweep(engine, settings.routing_sweep_seconds, metrics)),
                group.create_task(send_webhooks(engine, settings.webhook_look_seconds, metrics=metrics)),
                group.create_task(
                    forget_for_ever(engine, comparisons_kept_days=settings.comparisons_kept_days)
                ),
                group.create_task(look_for_ever(engine, metrics, settings.routing_look_seconds)),
            ]
            await relay.run(stop)
            for task in endless:
                task.cancel()
    finally:
        await engine.dispose()
