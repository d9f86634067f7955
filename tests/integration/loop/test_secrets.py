"""Secrets are planted everywhere they are used, and looked for everywhere else."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient

from services.demo.control import ApiRefused, ControlApi
from services.demo.product import Product
from services.demo.setup import create_key, create_route, wait_until_served
from services.messaging.consumer import read_topic
from services.messaging.settings import KafkaSettings
from services.storage.counting_totals import read_totals
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

pytestmark = pytest.mark.loop

PROVIDER_KEY = "sk-canary-of-the-openai-provider"
AZURE_KEY = "canary-of-the-azure-provider"
TOKEN = "eyJ-canary-of-the-entra-token"
WRONG_KEY = "hg-canary-of-nobody"
PROMPT = "the-prompt-is-a-canary"
MISTAKEN = "sk-canary-put-where-a-reference-belongs"

ENDPOINTS: dict[str, dict[str, Any]] = {
    "by-environment": {"kind": "openai", "secret": "env:CANARY_PROVIDER_KEY"},
    "by-file": {"kind": "azure_openai", "api_version": "2024-10-21"},
    "by-command": {"kind": "azure_openai", "auth": "bearer", "secret": "command:entra"},
}
FAULTS = (None, "error", "garbage", "unauthorized", "broken", "bad_request")


@pytest.fixture(params=["text", "json"])
def log_format(request: pytest.FixtureRequest) -> str:
    """How the services log."""
    return str(request.param)


@pytest.fixture
async def product(
    kafka: str, database_url: str, topic_prefix: str, tmp_path: Path, log_format: str
) -> AsyncIterator[Product]:
    printed = json.dumps({"accessToken": TOKEN, "expires_in": 3600})
    command = shlex.join([sys.executable, "-c", f"print({printed!r})"])
    settings = {
        "CANARY_PROVIDER_KEY": PROVIDER_KEY,
        "HEADGATE_LOG_LEVEL": "DEBUG",
        "HEADGATE_LOG_FORMAT": log_format,
        "HEADGATE_GATEWAY_ACCESS_LOG": "true",
        "HEADGATE_GATEWAY_SECRET_COMMANDS": json.dumps({"entra": command}),
    }
    lines: list[str] = []
    place = tmp_path / "product"
    place.mkdir()
    running = Product(kafka, database_url, place, lines.append, topic_prefix=topic_prefix, settings=settings)
    async with running:
        yield running


async def ask(product: Product, client_key: str) -> list[str]:
    """Ask every route by every surface, with every fault, in both ways to say who asks."""
    told: list[str] = []
    ways = ({"Authorization": f"Bearer {client_key}"}, {"api-key": client_key}, {"api-key": WRONG_KEY})
    async with aiohttp.ClientSession(product.addresses.gateway) as session:
        for headers in ways:
            for route in ENDPOINTS:
                for number, fault in enumerate(FAULTS):
                    body: dict[str, Any] = {"model": route, "stream": number % 2 == 1, "prompt": PROMPT}
                    body["messages"] = [{"role": "user", "content": PROMPT}]
                    body |= {} if fault is None else {"metadata": {"sim_fault": fault}}
                    for path in ("/v1/chat/completions", f"/openai/deployments/{route}/completions"):
                        async with session.post(path, json=body, headers=headers) as answer:
                            told.append(f"{answer.status} {answer.headers} {await answer.text()}")
        for path in ("/readyz", "/v1/models", "/metrics", "/endpoints"):
            async with session.get(path, headers=ways[0]) as answer:
                told.append(f"{answer.headers} {await answer.text()}")
    return told


async def tables(database_url: str, outcomes: int) -> dict[str, str]:
    """Wait until the outcomes are counted; return the content of every table."""
    engine = create_engine(DatabaseSettings(database_url=database_url), application_name="test")
    found: dict[str, str] = {}
    try:
        async with engine.connect() as connection:
            while (await read_totals(connection)).outcomes_counted < outcomes:
                await connection.rollback()
            names = await connection.scalars(
                sa.text("SELECT tablename FROM pg_tables WHERE schemaname='public'")
            )
            for name in names.all():
                rows = await connection.scalars(sa.text(f'SELECT t::text FROM "{name}" t'))  # noqa: S608
                found[f"table {name}"] = "\n".join(rows.all())
    finally:
        await engine.dispose()
    return found


async def topics(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> dict[str, str]:
    """Return every record of every topic of the installation."""
    return {
        f"topic {name}": "\n".join(
            repr((record.key, record.value, record.headers)) for record in await read_topic(settings, name)
        )
        for name in await admin.list_topics()
        if name.startswith(settings.topic_prefix)
    }


def files(place: Path) -> dict[str, str]:
    """Return everything that the services wrote: logs, the snapshot, journals."""
    return {
        f"file {path.name}": path.read_bytes().decode("latin-1")
        for path in place.rglob("*")
        if path.is_file()
    }


def check_logs(place: Path) -> None:
    """Every line of every service is an object, and each request has one of its own."""
    # The command that migrates ends with a word to whoever ran it.
    found = [path for path in place.rglob("*.log") if path.stem != "migrate"]
    logs = {path.stem: path.read_text().splitlines() for path in found}
    objects = {service: [json.loads(line) for line in lines] for service, lines in logs.items()}
    for lines in objects.values():
        assert all({"timestamp", "level", "logger", "message", "pid"} <= line.keys() for line in lines)
    loggers = {line["logger"].split(".")[0] for lines in objects.values() for line in lines}
    assert {"services", "headgate", "aiokafka", "asyncio"} <= loggers
    accesses = [line for line in objects["gateway"] if line["logger"] == "headgate.access"]
    served = [line for line in accesses if line["outcome"] != "refused"]
    assert len(served) == 2 * 2 * len(ENDPOINTS) * len(FAULTS)
    assert all({"request_id", "route", "variant", "http_status", "key_id"} <= line.keys() for line in served)
    assert {line["code"] for line in accesses if line["outcome"] == "refused"} == {"invalid_api_key"}


async def test_secrets_and_prompts_are_nowhere(
    product: Product, kafka_admin: AIOKafkaAdminClient, tmp_path: Path, database_url: str, log_format: str
) -> None:
    azure_key = tmp_path / "azure-key"
    azure_key.write_text(AZURE_KEY)
    provider = product.addresses.provider
    places: dict[str, str] = {}
    async with ControlApi(product.addresses.api, product.admin_key) as api:
        for key, definition in ENDPOINTS.items():
            url = f"{provider}/v1" if definition["kind"] == "openai" else provider
            reference = {"secret": f"file:{azure_key}"} | definition
            await api.post("/v1/endpoints", {"key": key, "base_url": url} | reference)
            await api.post("/v1/variants", {"key": key, "endpoints": [key], "model": "sim"})
            await create_route(api, key, key)
        client_key = await create_key(api, "canary")
        mistaken = {"key": "x", "kind": "openai", "base_url": provider, "secret": MISTAKEN}
        with pytest.raises(ApiRefused) as refused:
            await api.post("/v1/endpoints", mistaken)
        await wait_until_served(product.addresses.gateway, client_key, "by-file")
        told = await ask(product, client_key)
        for path in ("endpoints", "keys", "routes", "variants", "audit"):
            places[f"api {path}"] = str(await api.get(f"/v1/{path}"))
    places |= {"answers": "\n".join(told), "refusal": str(refused.value)}
    assert sum(answer.startswith("200 ") for answer in told) >= 2 * 2 * len(ENDPOINTS), places["answers"]

    places |= await tables(database_url, 4 * len(ENDPOINTS) * len(FAULTS))
    settings = KafkaSettings(kafka=product.kafka, topic_prefix=product.topic_prefix)
    places |= await topics(kafka_admin, settings)
    await product.stop()
    places |= files(product.place)

    written = {name for name, content in places.items() if content}
    assert {"table endpoints", "answers", "api audit", "file gateway.log", "file api.log"} <= written
    assert any(name.startswith("file config") for name in written)
    assert any(name.startswith("topic ") and "by-command" in text for name, text in places.items())
    if log_format == "json":
        check_logs(product.place)
    secrets = (PROVIDER_KEY, AZURE_KEY, TOKEN, WRONG_KEY, MISTAKEN, PROMPT, client_key, product.admin_key)
    assert [(name, secret) for name, text in places.items() for secret in secrets if secret in text] == []
