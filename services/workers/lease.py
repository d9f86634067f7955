"""The evidence lease: telling gateways up to when an experiment's outcomes are counted and evaluated."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from aiokafka.errors import KafkaError

from services.domain.configuration import LeaseConfig, config_key
from services.messaging.codec import encode_event
from services.messaging.publisher import Publisher

logger = logging.getLogger(__name__)

RENEWALS_PER_LIMIT = 6


@dataclass(slots=True)
class Lessor:
    """Renews leases on ``config.v1``, each about six times within its limit, and at once when it is new."""

    publisher: Publisher
    topic: str
    measured_at: dict[UUID, float] = field(default_factory=dict)
    """Up to when each experiment is measured as the gateways know it: what Kafka has, in wall time."""
    _renewed_at: dict[UUID, float] = field(default_factory=dict)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    def renew(self, experiment_id: UUID, measured_at: datetime, limit_seconds: float) -> None:
        """Publish up to when the experiment is measured, where a renewal is due."""
        now = asyncio.get_running_loop().time()
        renewed_at = self._renewed_at.get(experiment_id)
        if renewed_at is not None and now - renewed_at < limit_seconds / RENEWALS_PER_LIMIT:
            return
        self._renewed_at[experiment_id] = now
        measured = measured_at.timestamp()
        lease = LeaseConfig(
            version=(0, int(measured * 1000)), experiment_id=experiment_id, measured_at=measured
        )
        # Not waited for: while Kafka is away the evaluation goes on.
        task = asyncio.create_task(self._send(lease))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def lapse(self, experiment_id: UUID) -> None:
        """Renew no more until the experiment is evaluated here again; the lease runs out by itself."""
        self._renewed_at.pop(experiment_id, None)
        self.measured_at.pop(experiment_id, None)

    async def _send(self, lease: LeaseConfig) -> None:
        try:
            await self.publisher.send(self.topic, encode_event(lease), key=config_key(lease).encode())
        except KafkaError as error:
            logger.warning("could not renew the lease of %s: %s", lease.experiment_id, error)
        else:
            self._note(lease)

    def _note(self, lease: LeaseConfig) -> None:
        if lease.experiment_id in self._renewed_at:
            known = self.measured_at.get(lease.experiment_id, 0.0)
            self.measured_at[lease.experiment_id] = max(known, lease.measured_at)
            self._renewed_at.pop(lease.experiment_id, None)
