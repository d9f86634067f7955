"""The runbooks and their introduction: complete, and naming what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from services.api.settings import ApiSettings
from services.gateway.settings import GatewaySettings
from services.messaging.settings import KafkaSettings
from services.routing.settings import RoutingSettings
from services.storage.settings import DatabaseSettings
from services.workers.settings import WorkerSettings
from tests.unit.monitoring.catalogue import DOCS, catalogue
from tests.unit.monitoring.pages import PAGES, commands, problem_of

HEADINGS = ["What it means", "How to see it", "What to do", "When it may be ignored"]
RUNBOOKS = [page for page in PAGES if page.parent != DOCS]
SHOWN = {name for metrics in catalogue().values() for metric in metrics for name in (metric.name,)}
EVERY: tuple[type[BaseSettings], ...] = (
    ApiSettings,
    GatewaySettings,
    KafkaSettings,
    RoutingSettings,
    DatabaseSettings,
    WorkerSettings,
)
SETTINGS = {
    f"{settings.model_config['env_prefix']}{name}".upper()
    for settings in EVERY
    for name in settings.model_fields
} | {"HEADGATE_LOG_LEVEL", "HEADGATE_FEEDBACK_SECRET"}


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_says_what_one_wants_to_know(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert all(len(part.split()) > 2 for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_what_there_is(page: Path) -> None:
    text = page.read_text()
    for words in commands(page):
        assert problem_of(words) is None, f"{words}: {problem_of(words)}"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    for name in re.findall(r"`(headgate_[a-z_]+[a-z])(?:\{[^`]*\})?`", text):
        assert any(name in (one, f"{one}_total") for one in SHOWN), name
    for setting in re.findall(r"HEADGATE_[A-Z_]+[A-Z]", text):
        assert setting in SETTINGS, setting
