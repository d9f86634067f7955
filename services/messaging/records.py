"""The records that go through the outbox: topic (without prefix), key and value."""

from __future__ import annotations

from services.domain.configuration import Config, config_key
from services.domain.events import DecisionEvent
from services.messaging.codec import encode_event
from services.messaging.topics import CONFIG, DECISIONS

Record = tuple[str, bytes, bytes]


def config_record(state: Config) -> Record:
    """Return the record of a published state, on ``config.v1``."""
    return CONFIG.name, config_key(state).encode(), encode_event(state)


def decision_record(event: DecisionEvent) -> Record:
    """Return the record of a decision, on ``decisions.v1``."""
    return DECISIONS.name, str(event.experiment_id).encode(), encode_event(event)
