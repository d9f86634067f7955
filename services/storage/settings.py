"""How to reach Postgres."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """From the environment: HEADGATE_DATABASE_URL, HEADGATE_DATABASE_POOL_SIZE."""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore")

    database_url: str = "postgresql+psycopg://headgate@127.0.0.1:5432/headgate"
    database_pool_size: int = 5
