"""compose.yaml says what the code does: commands that exist, settings that are read, known services."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from services.api.settings import ApiSettings
from services.cli.log_format import FORMAT_VARIABLE
from services.cli.main import main
from services.gateway.settings import GatewaySettings
from services.messaging.settings import KafkaSettings
from services.routing.settings import RoutingSettings
from services.storage.settings import DatabaseSettings
from services.workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "command" in service}


def variables(settings: type[BaseSettings]) -> set[str]:
    prefix = settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper() for name in settings.model_fields}


KNOWN = {
    name
    for settings in (
        ApiSettings,
        GatewaySettings,
        KafkaSettings,
        DatabaseSettings,
        RoutingSettings,
        WorkerSettings,
    )
    for name in variables(settings)
} | {FORMAT_VARIABLE, "HEADGATE_FEEDBACK_SECRET"}  # what HEADGATE_GATEWAY_FEEDBACK_KEY refers to


def test_every_service_of_ours_is_there() -> None:
    assert set(OURS) == {"migrate", "api", "gateway", "routing", "worker"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_and_settings_exist(name: str) -> None:
    service = OURS[name]
    assert service["command"][0] in main.commands
    unknown = {key for key in service["environment"] if key.startswith("HEADGATE_")} - KNOWN
    assert not unknown
    assert set(service["depends_on"]) <= set(COMPOSE["services"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_logs_are_for_machines(name: str) -> None:
    assert OURS[name]["environment"][FORMAT_VARIABLE] == "json"


@pytest.mark.parametrize("name", sorted(set(COMPOSE["services"]) - {"migrate"}))
def test_what_keeps_running_has_a_health_check(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]


def test_prometheus_asks_every_service_where_it_shows_its_metrics() -> None:
    monitoring = yaml.safe_load((ROOT / "docs/monitoring/prometheus.yaml").read_text())
    asked = {job["job_name"]: job["dns_sd_configs"][0] for job in monitoring["scrape_configs"]}
    for name, variable in (
        ("gateway", "HEADGATE_GATEWAY_PORT"),
        ("api", "HEADGATE_API_PORT"),
        ("worker", "HEADGATE_WORKER_METRICS_PORT"),
        ("routing", "HEADGATE_ROUTING_METRICS_PORT"),
    ):
        place = asked.pop(f"headgate-{name}")
        assert (place["names"], str(place["port"])) == ([name], OURS[name]["environment"][variable])
    assert not asked


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_is_mounted_for_monitoring_is_there(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["profiles"] == ["monitoring"]
    mounted = [volume.partition(":")[0] for volume in service["volumes"]]
    assert all((ROOT / path).is_file() for path in mounted if path.startswith("."))


def test_the_image_runs_as_nobody_in_particular_and_installs_by_hash() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER \d+:\d+$", dockerfile, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in dockerfile
