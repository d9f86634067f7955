"""compose.yaml says what the code does: commands that exist, settings that are read, known services."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from services.api.settings import ApiSettings
from services.cli.main import main
from services.gateway.settings import GatewaySettings
from services.messaging.settings import KafkaSettings
from services.storage.settings import DatabaseSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "command" in service}


def variables(settings: type[BaseSettings]) -> set[str]:
    prefix = settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper() for name in settings.model_fields}


KNOWN = {
    name
    for settings in (ApiSettings, GatewaySettings, KafkaSettings, DatabaseSettings)
    for name in variables(settings)
} | {"HEADGATE_FEEDBACK_SECRET"}  # what HEADGATE_GATEWAY_FEEDBACK_KEY refers to


def test_every_service_of_ours_is_there() -> None:
    assert set(OURS) == {"migrate", "api", "gateway", "routing", "worker"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_and_settings_exist(name: str) -> None:
    service = OURS[name]
    assert service["command"][0] in main.commands
    unknown = {key for key in service["environment"] if key.startswith("HEADGATE_")} - KNOWN
    assert not unknown
    assert set(service["depends_on"]) <= set(COMPOSE["services"])


@pytest.mark.parametrize("name", sorted(set(COMPOSE["services"]) - {"migrate"}))
def test_what_keeps_running_has_a_health_check(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]


def test_the_image_runs_as_nobody_in_particular_and_installs_by_hash() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER \d+:\d+$", dockerfile, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in dockerfile
