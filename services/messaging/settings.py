"""How to reach Kafka."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    """From the environment: HEADGATE_KAFKA, HEADGATE_TOPIC_PREFIX, …"""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore")

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, ``host:port`` separated by commas."""
    topic_prefix: str = ""
    """Put before every topic's and group's name, so that several installations can share a cluster."""
    replication_factor: int = 1
    """For topics that are created; 3 in production."""
