"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.messaging.settings import KafkaSettings
from tests.integration.gateway.running import (
    SECRET,
    SECRET_VARIABLE,
    Installation,
    RunningGateway,
    running_gateway,
    running_provider,
)


@pytest.fixture(scope="session")
async def provider_url() -> AsyncIterator[str]:
    """The simulated provider."""
    async with running_provider() as url:
        yield url


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)


@pytest.fixture
async def installation(kafka: str, topic_prefix: str) -> Installation:
    """Topics of this test's own."""
    created = Installation(KafkaSettings(kafka=kafka, topic_prefix=topic_prefix))
    await created.create()
    return created


@pytest.fixture
async def gateway(installation: Installation, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway of this test's own."""
    async with running_gateway(installation.kafka, tmp_path / "state") as running:
        await running.until(lambda state: state["ready"])
        yield running
