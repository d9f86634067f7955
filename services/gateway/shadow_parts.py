"""The parts of mirroring, put together. Shadows have connections, breakers and retries of their own."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from uuid import uuid4

from services.gateway.config import ConfigStore
from services.gateway.failover import Failover
from services.gateway.health import HealthBook
from services.gateway.place import Place
from services.gateway.retry_budget import RetryBudgets
from services.gateway.secret_references import SecretResolver
from services.gateway.selection import Selection
from services.gateway.settings import GatewaySettings
from services.gateway.shadow import Shadows
from services.gateway.shadow_copies import LONGEST_ANSWER_BYTES
from services.gateway.shadow_health import ShadowBook
from services.gateway.shadow_sender import ComparisonSender
from services.gateway.upstream import Upstream
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames


@dataclass(frozen=True, slots=True)
class ShadowWays:
    """The ways out that only shadows use: to providers, and to Kafka."""

    upstream: Upstream
    publisher: Publisher
    sender: ComparisonSender

    async def close(self) -> None:
        """Close them."""
        await self.publisher.stop()
        await self.upstream.close()


def ways_for_shadows(settings: GatewaySettings, kafka: KafkaSettings, upstream: Upstream) -> ShadowWays:
    """Open them. ``upstream`` is a pool of connections that production does not use."""
    publisher = Publisher(kafka, client_id="headgate-gateway-shadows")
    topic = TopicNames(kafka.topic_prefix).comparisons
    limit_bytes = settings.shadow_buffer_bytes // 2
    return ShadowWays(
        upstream, publisher, ComparisonSender(publisher, topic, uuid4(), limit_bytes=limit_bytes)
    )


def compose_shadows(
    settings: GatewaySettings,
    store: ConfigStore,
    secrets: SecretResolver,
    production: HealthBook,
    ways: ShadowWays,
    place: Place,
) -> Shadows:
    """Put the parts together; ``production`` is what the requests of callers know of endpoints."""
    selection = Selection(secrets, ShadowBook(production), Random())  # noqa: S311 - spreads load, keeps no secret
    budgets = RetryBudgets(settings.retry_budget_share, settings.retry_budget_minimum_per_second)
    failover = Failover(ways.upstream, selection, budgets, max_answer_bytes=LONGEST_ANSWER_BYTES)
    limit_bytes = settings.shadow_buffer_bytes // 2
    return Shadows(store, failover, ways.sender, limit_bytes=limit_bytes, share=place.share)
