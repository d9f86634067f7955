"""The control plane's settings."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApiSettings(BaseSettings):
    """From the environment: HEADGATE_ADMIN_KEY, HEADGATE_API_HOST, HEADGATE_API_PORT, and for
    health checks HEADGATE_API_GATEWAY_URL and HEADGATE_API_GATEWAY_KEY.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_", extra="ignore")

    admin_key: SecretStr = SecretStr("")
    """Has the role admin. There is no default; it may be left out once a stored key has that role."""
    api_host: str = "127.0.0.1"
    api_port: int = 8081
    api_gateway_url: str = ""
    """Where health checks send their requests, such as http://gateway:8080. Without it there are none."""
    api_gateway_key: SecretStr = SecretStr("")
    """A key of the gateway with the scope ``force_variant``, or ``file:/path``, which is read at each run."""
