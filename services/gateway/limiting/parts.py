"""The parts of limiting, put together."""

from __future__ import annotations

from collections.abc import Callable, Set
from uuid import uuid4

from services.domain.escrow import Standing
from services.gateway.limiting.beats import Beats
from services.gateway.limiting.ledger import Ledger
from services.gateway.limiting.limiter import Limiter
from services.gateway.limiting.sharing import Sharing
from services.gateway.settings import GatewaySettings
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings


def compose_limiter(
    settings: GatewaySettings, kafka: KafkaSettings, lasting: Callable[[], Set[int]]
) -> Limiter:
    """Put the parts together. Each process of a gateway is a replica of its own.

    ``lasting`` returns the scopes whose use is never dropped while it counts.
    """
    ledger = Ledger(Standing(settings.limit_replicas, 0, together=False), settings.limit_meters, lasting)
    beats = Beats(uuid4(), ledger, settings.limit_replicas)
    # Its own, so that beats never wait behind outcomes.
    publisher = Publisher(kafka, client_id="headgate-gateway-limits")
    return Limiter(
        ledger, Sharing(kafka, ledger, beats, publisher), default_cap=settings.limit_default_completion_tokens
    )
