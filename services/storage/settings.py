"""How to reach Postgres."""

from __future__ import annotations

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


class DatabaseSettings(BaseSettings):
    """From the environment: HEADGATE_DATABASE_URL, HEADGATE_DATABASE_POOL_SIZE."""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore")

    database_url: str = "postgresql+psycopg://headgate@127.0.0.1:5432/headgate"
    database_pool_size: int = 5

    @field_validator("database_url")
    @classmethod
    def _with_our_driver(cls, url: str) -> str:
        """Take the usual spellings, postgres:// and postgresql://, and name the driver."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ValueError("is not a URL like postgresql://user:password@host:5432/name") from None
        if parsed.drivername.partition("+")[0] not in ("postgres", "postgresql"):
            raise ValueError(
                f"names {parsed.drivername}; Headgate needs postgresql://user:password@host/name"
            )
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
