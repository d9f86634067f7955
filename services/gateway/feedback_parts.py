"""The parts of feedback, put together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.config import ConfigStore
from services.gateway.feedback import FeedbackReader
from services.gateway.feedback_keys import FeedbackKeys, Resolver, random_key
from services.gateway.feedback_page import FeedbackPage
from services.gateway.feedback_store import FeedbackStore
from services.gateway.feedback_tokens import FeedbackTokens
from services.gateway.place import Place
from services.gateway.settings import GatewaySettings
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class FeedbackParts:
    """What issues tokens, and what takes them back."""

    tokens: FeedbackTokens
    page: FeedbackPage
    kafka: FeedbackStore


def compose_feedback(
    settings: GatewaySettings,
    kafka: KafkaSettings,
    store: ConfigStore,
    secrets: Resolver,
    place: Place,
    clock: Callable[[], float] = time.time,
) -> FeedbackParts:
    """Put the parts together. ``clock`` is what the age of tokens is judged by."""
    own = random_key() if place.shared is None else place.shared.feedback_key
    tokens = FeedbackTokens(
        FeedbackKeys(secrets, settings.feedback_key, own), settings.feedback_days * DAY_SECONDS
    )
    to_kafka = FeedbackStore(
        # Its own, so that a failure is told to one sender and never touches outcomes on their way.
        Publisher(kafka, client_id="headgate-gateway-feedback"),
        TopicNames(kafka.topic_prefix).outcomes,
        wait_seconds=settings.feedback_wait_seconds,
        limit_bytes=settings.feedback_buffer_bytes,
    )
    if settings.feedback_key is None and place.process == 0:
        logger.info(
            "HEADGATE_GATEWAY_FEEDBACK_KEY is not set: feedback tokens are signed with a key made at this "
            "start, so no other gateway takes them, nor this one after a restart"
        )
    return FeedbackParts(tokens, FeedbackPage(store, FeedbackReader(tokens), to_kafka, clock), to_kafka)
