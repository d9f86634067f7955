"""Starting and staying current: without Kafka, before Kafka, and with a topic that has a past."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import openai
import pytest

from services.domain.configuration import InstallationConfig, config_key
from services.embedded.ports import free_port
from services.gateway.snapshot import load_snapshot, snapshot_path
from services.messaging.codec import encode_event
from services.messaging.publisher import transactional_producer
from services.messaging.settings import KafkaSettings
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    credential,
    endpoint,
    journals,
    route,
    running_gateway,
    variant,
    version,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]


async def ask(gateway: RunningGateway, model: str = "support") -> str:
    async with gateway.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
        return str(raw.headers["x-headgate-variant"])


async def until_saved(state_dir: Path, kafka: KafkaSettings, key: str) -> None:
    path = snapshot_path(state_dir, kafka)
    async with asyncio.timeout(30):
        while key not in {config_key(state) for state in load_snapshot(path)}:
            await asyncio.sleep(0.05)


async def test_a_gateway_without_any_configuration_says_so(tmp_path: Path) -> None:
    nowhere = KafkaSettings(kafka=f"127.0.0.1:{free_port()}")
    async with running_gateway(nowhere, tmp_path) as gateway:
        state = await gateway.readiness()
        assert not state["ready"]
        assert state["checks"]["config"]["source"] == "none"
        with pytest.raises(openai.APIStatusError) as raised:
            await ask(gateway)
        assert (raised.value.status_code, raised.value.code) == (503, "not_ready")


async def test_a_gateway_serves_from_its_snapshot_while_kafka_is_away(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    kafka, state_dir = installation.kafka, tmp_path / "state"
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    async with running_gateway(kafka, state_dir) as gateway:
        await gateway.knows_routes(1)
        await until_saved(state_dir, kafka, "route/support")

    away = KafkaSettings(kafka=f"127.0.0.1:{free_port()}", topic_prefix=kafka.topic_prefix)
    async with running_gateway(away, state_dir, flush_grace_seconds=0.1) as gateway:
        state = await gateway.readiness()
        assert state["ready"]
        assert state["checks"]["config"]["source"] == "snapshot"
        assert await ask(gateway) == "stable"
        assert (await gateway.readiness())["checks"]["outcomes"]["offered"] == 1
    assert len(journals(state_dir)) == 1, "left for the next gateway to announce"


async def test_a_gateway_that_starts_before_its_topics(
    kafka: str, topic_prefix: str, provider_url: str, tmp_path: Path
) -> None:
    installation = Installation(KafkaSettings(kafka=kafka, topic_prefix=topic_prefix))
    async with running_gateway(installation.kafka, tmp_path) as gateway:
        assert not (await gateway.readiness())["ready"]
        await installation.create()
        await installation.publish(
            endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
        )
        await gateway.until(lambda state: state["ready"])
        await gateway.knows_routes(1)
        assert await ask(gateway) == "stable"


async def test_names_that_are_gone_are_forgotten_after_a_restart(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    kafka, state_dir = installation.kafka, tmp_path / "state"
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"),
        route("support", variant("stable", "only")),
        route("gone", variant("stable", "only")),
    )
    async with running_gateway(kafka, state_dir) as gateway:
        await gateway.knows_routes(2)
        await until_saved(state_dir, kafka, "route/gone")
    await installation.publish_raw(("route/gone", None))
    async with running_gateway(kafka, state_dir) as gateway:
        await gateway.until(lambda state: state["checks"]["config"]["source"] == "kafka")
        await gateway.knows_routes(1)
        with pytest.raises(openai.NotFoundError):
            await ask(gateway, "gone")


async def test_an_older_version_changes_nothing(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    old = route("support", variant("old", "only"))
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("new", "only")), old
    )
    await installation.publish(route("last", variant("new", "only")))
    await gateway.knows_routes(2)
    assert await ask(gateway) == "new"


async def test_what_was_not_committed_is_never_seen(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    producer = transactional_producer(installation.kafka, transactional_id="test-outbox")
    await producer.start()
    try:
        await producer.begin_transaction()
        aborted = route("aborted", variant("stable", "only"))
        await producer.send_and_wait(
            installation.topics.config, encode_event(aborted), key=config_key(aborted).encode()
        )
        await producer.abort_transaction()
        async with producer.transaction():
            for state in (
                endpoint("only", f"{provider_url}/v1"),
                route("support", variant("stable", "only")),
            ):
                await producer.send(
                    installation.topics.config, encode_event(state), key=config_key(state).encode()
                )
    finally:
        await producer.stop()
    await gateway.knows_routes(1)
    assert await ask(gateway) == "stable"


async def test_the_first_read_ends_at_a_transactions_marker(
    installation: Installation, tmp_path: Path
) -> None:
    producer = transactional_producer(installation.kafka, transactional_id="test-outbox")
    await producer.start()
    try:
        async with producer.transaction():
            state = credential("another-key")
            await producer.send(
                installation.topics.config, encode_event(state), key=config_key(state).encode()
            )
    finally:
        await producer.stop()
    async with running_gateway(installation.kafka, tmp_path / "another") as gateway:
        await gateway.until(lambda state: state["checks"]["config"]["source"] == "kafka")


async def test_another_installation_drops_the_snapshot(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    kafka, state_dir = installation.kafka, tmp_path / "state"
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    async with running_gateway(kafka, state_dir) as gateway:
        await gateway.knows_routes(1)
        await until_saved(state_dir, kafka, "route/support")
    other = InstallationConfig(version=version(), installation_id=uuid4(), outcome_partitions=3)
    await installation.publish(other)
    await installation.publish_raw(("route/support", None))
    async with running_gateway(kafka, state_dir) as gateway:
        await gateway.until(lambda state: state["checks"]["config"]["source"] == "kafka")
        await gateway.knows_routes(0)
        await installation.publish(route("new", variant("stable", "only")))
        await gateway.knows_routes(1)
        assert await ask(gateway, "new") == "stable"
        await installation.outcome()
