"""Kafka goes away under load: no request notices, every outcome arrives, every number is used once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.embedded.kafka import EmbeddedKafka
from services.messaging.settings import KafkaSettings
from tests.integration.gateway.load import steady_load
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    journals,
    route,
    running_gateway,
    variant,
)


async def serving(installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    await gateway.knows_routes(1)


@pytest.mark.parametrize("how", ["restart", "kill", "long_outage"])
async def test_a_restart_under_load(
    own_kafka: EmbeddedKafka, provider_url: str, tmp_path: Path, how: str
) -> None:
    installation = Installation(KafkaSettings(kafka=own_kafka.bootstrap_servers))
    await installation.create()
    async with running_gateway(installation.kafka, tmp_path) as gateway:
        await serving(installation, gateway, provider_url)
        async with steady_load(gateway.url, "support") as load:
            await load.answered(200)
            if how != "restart":
                own_kafka.kill()
                await load.answered(200)
            if how == "long_outage":
                await gateway.until(lambda state: state["checks"]["kafka"]["state"] == "down")
            await asyncio.to_thread(own_kafka.restart)
            await load.answered(200)
        await gateway.until(
            lambda state: state["checks"]["outcomes"]["acknowledged"] == len(load.request_ids)
        )
        assert load.failures == []
        # ``sequences`` fails where a number is missing.
        outcomes = await installation.outcomes()
        assert sorted(outcome.request_id for outcome in outcomes) == sorted(load.request_ids)

        await installation.publish(route("sales", variant("stable", "only")))
        await gateway.knows_routes(2)
    assert journals(tmp_path) == []


async def test_beyond_the_buffer_the_newest_are_shed_and_show_as_a_gap(
    own_kafka: EmbeddedKafka, provider_url: str, tmp_path: Path
) -> None:
    installation = Installation(KafkaSettings(kafka=own_kafka.bootstrap_servers))
    await installation.create()
    async with running_gateway(installation.kafka, tmp_path, outcome_buffer_bytes=4_000) as gateway:
        await serving(installation, gateway, provider_url)
        async with steady_load(gateway.url, "support") as load:
            await load.answered(10)
            own_kafka.kill()
            await gateway.until(lambda state: state["checks"]["outcomes"]["shed"] > 0)
            await load.answered(50)
        assert load.failures == []
        await asyncio.to_thread(own_kafka.restart)
        state = await gateway.until(
            lambda state: (
                (figures := state["checks"]["outcomes"])["acknowledged"] + figures["shed"]
                == figures["offered"]
            )
        )
        shed = state["checks"]["outcomes"]["shed"]
    missing, found = await installation.missing()
    assert (missing, found + missing) == (shed, len(load.request_ids))
