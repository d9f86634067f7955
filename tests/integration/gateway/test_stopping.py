"""The end of a gateway: in order, or by kill -9."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from services.domain.status import OutcomeStatus as S
from tests.integration.gateway.load import steady_load
from tests.integration.gateway.processes import gateway_process
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    journals,
    route,
    running_gateway,
    variant,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]


async def serve(
    installation: Installation, gateway: RunningGateway, provider_url: str, model: str = "sim"
) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only", model=model))
    )
    await gateway.knows_routes(1)


@pytest.mark.parametrize(("token_ms", "status"), [(20, S.OK), (60_000, S.CALLER_GONE)])
async def test_streams_may_finish_within_a_limit(
    installation: Installation, provider_url: str, tmp_path: Path, token_ms: int, status: S
) -> None:
    async with running_gateway(installation.kafka, tmp_path, stream_grace_seconds=3) as gateway:
        await serve(installation, gateway, provider_url, f"sim:token_ms={token_ms}")
        async with gateway.client() as client:
            stream: Any = await client.chat.completions.create(
                model="support", messages=MESSAGES, stream=True
            )
            await anext(stream)
            gateway.stop.set()
            if status is S.OK:
                assert [chunk.choices[0].finish_reason async for chunk in stream][-1] == "stop"
            outcome = await installation.outcome()
    assert outcome.status is status
    assert journals(tmp_path) == []


async def test_a_gateway_that_is_killed_is_reported_by_the_next(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    async with gateway_process(installation, tmp_path) as (process, gateway):
        await serve(installation, gateway, provider_url)
        killed = (await gateway.readiness())["gateway"]
        async with steady_load(gateway.url, "support") as load:
            await load.answered(300)
            process.send_signal(signal.SIGKILL)
            await process.wait()
    answered = set(load.request_ids)

    async with gateway_process(installation, tmp_path) as (process, gateway):
        await gateway.until(lambda _: f"{killed}.sequences" not in journals(tmp_path))
        missing, found = await installation.missing()
        arrived = {outcome.request_id for outcome in await installation.outcomes(gaps=True)}
    # Whatever was answered and did not arrive is reported; what is in flight at the kill may be neither.
    assert len(answered - arrived) <= missing
    assert found == len(arrived)
    # Bounded by what 8 callers can do in a gather time and an acknowledgement.
    assert missing < 100
    assert process.returncode == 0
    assert journals(tmp_path) == []


async def test_a_gateway_in_a_process_stops_in_order(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    async with gateway_process(installation, tmp_path) as (process, gateway):
        await serve(installation, gateway, provider_url)
        async with steady_load(gateway.url, "support") as load:
            await load.answered(50)
    assert process.returncode == 0
    arrived = sorted(outcome.request_id for outcome in await installation.outcomes())
    assert arrived == sorted(load.request_ids)
