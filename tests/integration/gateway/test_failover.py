"""From one endpoint of a variant to the next, before the first byte."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from services.domain.configuration import EndpointConfig
from services.domain.status import OutcomeStatus as S
from services.embedded.ports import free_port
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]


async def ask(
    installation: Installation,
    gateway: RunningGateway,
    *endpoints: EndpointConfig,
    stream: bool = False,
    keys: tuple[str, ...] | None = None,
) -> Any:
    """Serve a route by the endpoints, and ask it."""
    keys = tuple(one.key for one in endpoints) if keys is None else keys
    await installation.publish(*endpoints, route("support", variant("stable", *keys)))
    await gateway.knows_routes(1)
    async with gateway.client() as client:
        answer: Any = await client.chat.completions.create(model="support", messages=MESSAGES, stream=stream)
        return [chunk async for chunk in answer] if stream else answer


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}/v1"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "http_status"),
    [
        ("sim:error_rate=1", S.PROVIDER_ERROR, 500),
        ("sim:rate_limit_rate=1", S.PROVIDER_REFUSED, 429),
        ("sim:refuse_rate=1", S.CONNECTION_FAILED, 0),
        ("sim:hang_rate=1", S.TIMEOUT, 0),
    ],
)
async def test_the_next_tier_answers(
    installation: Installation,
    gateway: RunningGateway,
    provider_url: str,
    model: str,
    status: S,
    http_status: int,
    stream: bool,
) -> None:
    url = f"{provider_url}/v1"
    first = endpoint("first", url, model=model, first_byte_timeout_seconds=0.3)
    second = endpoint("second", url, priority=1)
    assert await ask(installation, gateway, second, first, stream=stream)
    outcome = await installation.outcome()
    assert (outcome.status, outcome.http_status) == (S.OK, 200)
    assert [(a.endpoint_key, a.status, a.http_status) for a in outcome.attempts] == [
        ("first", status, http_status),
        ("second", S.OK, 200),
    ]
    assert all(attempt.duration_us > 0 for attempt in outcome.attempts)


async def test_a_whole_answer_that_breaks_off_is_asked_of_the_next(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    first = endpoint("first", f"{provider_url}/v1", model="sim:broken_rate=1")
    second = endpoint("second", f"{provider_url}/v1", priority=1)
    assert (await ask(installation, gateway, first, second)).choices
    outcome = await installation.outcome()
    assert [a.status for a in outcome.attempts] == [S.CONNECTION_FAILED, S.OK]


async def test_a_callers_error_is_not_asked_of_the_next(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    first = endpoint("first", f"{provider_url}/v1", model="sim:nonsense")
    second = endpoint("second", f"{provider_url}/v1", priority=1)
    with pytest.raises(openai.BadRequestError):
        await ask(installation, gateway, first, second)
    assert [a.status for a in (await installation.outcome()).attempts] == [S.CALLER_ERROR]


async def test_when_all_fail_the_last_answer_is_passed_on(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    url = f"{provider_url}/v1"
    first = endpoint("first", url, model="sim:rate_limit_rate=1")
    second = endpoint("second", url, model="sim:error_rate=1,error_status=502", priority=1)
    third = endpoint("third", nobody(), priority=2)
    with pytest.raises(openai.APIStatusError) as raised:
        await ask(installation, gateway, first, second, third)
    assert (raised.value.status_code, raised.value.code) == (502, "server_error")
    outcome = await installation.outcome()
    assert (outcome.status, outcome.http_status) == (S.PROVIDER_ERROR, 502)
    assert [a.status for a in outcome.attempts] == [
        S.PROVIDER_REFUSED,
        S.PROVIDER_ERROR,
        S.CONNECTION_FAILED,
    ]


async def unserveable(
    installation: Installation, gateway: RunningGateway, *endpoints: EndpointConfig, **changes: Any
) -> tuple[str | None, str]:
    with pytest.raises(openai.APIStatusError) as raised:
        await ask(installation, gateway, *endpoints, **changes)
    assert raised.value.status_code == 503
    return raised.value.code, raised.value.message


async def test_one_endpoint_that_cannot_be_reached(
    installation: Installation, gateway: RunningGateway
) -> None:
    code, message = await unserveable(installation, gateway, endpoint("gone", nobody()))
    assert code == "endpoint_unavailable"
    assert "gone: it could not be reached" in message
    assert (await installation.outcome()).status is S.CONNECTION_FAILED


async def test_several_endpoints_that_cannot_be_reached(
    installation: Installation, gateway: RunningGateway
) -> None:
    code, message = await unserveable(
        installation, gateway, endpoint("one", nobody()), endpoint("two", nobody())
    )
    assert code == "all_endpoints_failed"
    assert "one: it could not be reached" in message
    assert "two: it could not be reached" in message
    assert len((await installation.outcome()).attempts) == 2


async def test_no_endpoint_that_could_be_asked(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> None:
    code, _ = await unserveable(
        installation,
        gateway,
        endpoint("drained", provider_url, weight=0),
        endpoint("secretless", provider_url, secret="env:NOT_HERE"),
        keys=("drained", "secretless", "unknown"),
    )
    assert code == "no_healthy_endpoints"
    outcome = await installation.outcome()
    assert (outcome.status, outcome.attempts) == (S.UNSERVEABLE, ())
    secrets = (await gateway.readiness())["checks"]["secrets"]
    assert secrets == {"ok": False, "missing": ["secretless"], "failing_commands": {}}
