"""The header that names a variant, as the official client sends it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import openai
import pytest

from services.messaging.comparison_codec import decode_comparisons
from services.messaging.consumer import read_topic
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    ab_test,
    credential,
    endpoint,
    experiment,
    route,
    variant,
)
from tests.integration.gateway.test_shadows import shadow

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
CHECKER = "hg-test-key-of-a-checker"


@pytest.fixture(autouse=True)
async def _defined(installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
    """A route on which a canary and an A/B test run, and a key that may force."""
    variants = [variant(key, "only") for key in ("old", "new", "other")]
    running = experiment("old", "new", 5_000, on_blind="hold")
    test = ab_test("old", "other")
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"),
        credential(CHECKER, scopes=("force_variant",)),
        route("support", *variants, experiment=running, test=test),
    )
    await gateway.knows_routes(1)


async def ask(client: openai.AsyncOpenAI, wanted: str | None, unit: str = "ada") -> Any:
    headers = {"x-headgate-unit": unit} | ({} if wanted is None else {"x-headgate-force-variant": wanted})
    return await client.chat.completions.with_raw_response.create(
        model="support", messages=MESSAGES, extra_headers=headers
    )


async def test_the_named_variant_answers_and_nobody_is_assigned(
    gateway: RunningGateway, installation: Installation
) -> None:
    async with gateway.client(CHECKER) as client:
        for key in ("old", "new", "other"):
            answer = await ask(client, key)
            assert answer.parse().choices[0].message.content
            assert answer.headers["x-headgate-variant"] == key
            assert answer.headers["x-headgate-forced"] == "true"
            assert answer.headers["x-headgate-allocation"] == "7"
            told = {name for name in answer.headers if name.startswith("x-headgate-")}
            assert not told & {
                "x-headgate-experiment",
                "x-headgate-test",
                "x-headgate-test-variant",
                "x-headgate-feedback-token",
                "x-headgate-blind",
            }
    outcomes = await installation.expect_outcomes(3)
    assert sorted(outcome.variant_key for outcome in outcomes) == ["new", "old", "other"]
    assert {outcome.assignments for outcome in outcomes} == {()}


async def test_a_stream_can_be_forced_too(gateway: RunningGateway) -> None:
    async with gateway.client(CHECKER) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="support",
            messages=MESSAGES,
            stream=True,
            extra_headers={"x-headgate-force-variant": "other"},
        )
        assert raw.headers["x-headgate-variant"] == "other"
        assert [chunk async for chunk in raw.parse()]


async def test_a_key_without_the_scope_is_refused(
    gateway: RunningGateway, installation: Installation
) -> None:
    async with gateway.client() as client:
        with pytest.raises(openai.PermissionDeniedError, match="force_variant") as refused:
            await ask(client, "new")
        assert refused.value.code == "scope_missing"
        answer = await ask(client, None)
    assert "x-headgate-forced" not in answer.headers
    assert len((await installation.outcome()).assignments) == 2


async def test_a_variant_that_the_route_does_not_have(gateway: RunningGateway) -> None:
    async with gateway.client(CHECKER) as client:
        with pytest.raises(openai.NotFoundError, match="it has new, old, other") as refused:
            await ask(client, "newest")
    assert (refused.value.code, refused.value.param) == ("variant_not_found", "x-headgate-force-variant")


async def test_no_shadow_gets_a_copy_of_a_forced_request(
    gateway: RunningGateway, installation: Installation
) -> None:
    everything = shadow("other")
    variants = [variant(key, "only") for key in ("old", "other")]
    await installation.publish(route("support", *variants, shadow=everything, allocation_version=8))
    async with gateway.client(CHECKER) as client:
        while (await ask(client, "old")).headers["x-headgate-allocation"] != "8":
            pass
        await ask(client, "old")
        copied = (await ask(client, None)).headers["x-headgate-request-id"]
    async with asyncio.timeout(60):
        while not (told := await comparisons(installation)):
            await asyncio.sleep(0.05)
    assert told == [UUID(copied)]


async def comparisons(installation: Installation) -> list[UUID]:
    """The ids of the requests that a shadow was compared on, once the gateway has told of any."""
    records = await read_topic(installation.kafka, installation.topics.comparisons)
    return [one.comparison_id for record in records for one in decode_comparisons(record.value).comparisons]
