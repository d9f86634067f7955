"""What can be set on the simulated provider."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class ProviderSettings(BaseSettings):
    """From the environment: HEADGATE_PROVIDER_HOST, HEADGATE_PROVIDER_PORT, HEADGATE_PROVIDER_SEED."""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_PROVIDER_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8082
    """0 takes a free one; the address is logged once it listens."""
    seed: int = 1
    """What the models' luck is drawn from: the n-th request to a model always meets the same fate."""
