"""Mirroring at the gateway: what is compared, what bounds it, and that nothing of it reaches a caller."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from services.domain.assignment import basis_point, shadow_salt
from services.domain.configuration import Prices, ShadowConfig
from services.domain.events import Comparison, ShadowCoverage
from services.domain.status import OutcomeStatus
from services.messaging.comparison_codec import decode_comparisons
from services.messaging.consumer import read_topic
from tests.integration.gateway.running import Installation, RunningGateway, endpoint, route, variant
from tests.integration.gateway.watching import endpoint_state, metrics

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
PRICES = Prices(input_per_million=1.0, output_per_million=2.0)
MIRRORED = 12


def shadow(key: str, **changes: Any) -> ShadowConfig:
    """A shadow of every request."""
    experiment_id = uuid.uuid4()
    values: dict[str, Any] = {
        "key": "the-shadow",
        "phase": 1,
        "salt": str(experiment_id),
        "sample_bp": 10_000,
        "max_concurrency": 4,
        "queue_limit": 100,
        "timeout_seconds": 20.0,
        "ends_at": 1e12,
    }
    return ShadowConfig(experiment_id=experiment_id, variant=key, **(values | changes))


class Mirroring:
    """A gateway whose route ``support`` is mirrored, and what it says of that."""

    def __init__(self, installation: Installation, gateway: RunningGateway, provider_url: str) -> None:
        self._installation = installation
        self._provider_url = provider_url
        self.gateway = gateway

    async def define(self, config: ShadowConfig | None, model: str = "sim", **endpoint_changes: Any) -> None:
        """Publish the route; the shadow asks an endpoint of its own for ``model``."""
        url = f"{self._provider_url}/v1"
        await self._installation.publish(
            endpoint("main", url, prices=PRICES),
            endpoint("other", url, **({"prices": PRICES} | endpoint_changes)),
            route("support", variant("stable", "main"), variant("copy", "other", model=model), shadow=config),
        )
        await self.gateway.knows_routes(1)

    async def ask(self, client: openai.AsyncOpenAI, count: int = 1, **changes: Any) -> list[Any]:
        """Ask for whole answers, all at once."""
        asking = [
            client.chat.completions.with_raw_response.create(
                **({"model": "support", "messages": MESSAGES, "user": f"user-{i}"} | changes)
            )
            for i in range(count)
        ]
        return list(await asyncio.gather(*asking))

    async def told(self) -> tuple[list[Comparison], ShadowCoverage | None]:
        """Everything on comparisons.v1: the comparisons, and the newest coverage."""
        records = await read_topic(self._installation.kafka, self._installation.topics.comparisons)
        decoded = [decode_comparisons(record.value) for record in records]
        assert not any(one.unreadable for one in decoded)
        coverage = [counts for one in decoded for counts in one.coverage]
        return [one for record in decoded for one in record.comparisons], coverage[-1] if coverage else None

    async def settled(self, sampled: int) -> tuple[list[Comparison], ShadowCoverage]:
        """The same once that many requests are sampled and done with."""
        async with asyncio.timeout(60):
            while True:
                comparisons, coverage = await self.told()
                if coverage is not None and coverage.sampled >= sampled and under_way(coverage) == 0:
                    return comparisons, coverage
                await asyncio.sleep(0.05)


def under_way(coverage: ShadowCoverage) -> int:
    return coverage.sampled - coverage.compared - coverage.failed - sum(coverage.shed.values())


@pytest.fixture
def mirroring(installation: Installation, gateway: RunningGateway, provider_url: str) -> Mirroring:
    return Mirroring(installation, gateway, provider_url)


Asking = Callable[[openai.AsyncOpenAI], Awaitable[None]]


async def chat(client: openai.AsyncOpenAI) -> None:
    await client.chat.completions.create(model="support", messages=MESSAGES)


async def chat_stream(client: openai.AsyncOpenAI) -> None:
    async for _ in await client.chat.completions.create(model="support", messages=MESSAGES, stream=True):
        pass


async def responses_stream(client: openai.AsyncOpenAI) -> None:
    async for _ in await client.responses.create(model="support", input="Say it.", stream=True):
        pass


async def completion(client: openai.AsyncOpenAI) -> None:
    await client.completions.create(model="support", prompt="Say it.")


async def tool_call(client: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    await client.chat.completions.create(
        model="support", messages=MESSAGES, tools=tools, tool_choice="required"
    )


@pytest.mark.parametrize("asking", [chat, chat_stream, responses_stream, completion, tool_call])
async def test_answers_are_compared(mirroring: Mirroring, installation: Installation, asking: Asking) -> None:
    await mirroring.define(shadow("copy"))
    async with mirroring.gateway.client() as client:
        await asking(client)

    (comparison,), coverage = await mirroring.settled(1)
    outcome = await installation.outcome()
    assert str(comparison.comparison_id) == str(uuid.UUID(outcome.request_id))
    assert comparison.production.latency_us == outcome.latency_us
    assert comparison.production.cost_nanos == outcome.cost_nanos == comparison.shadow.cost_nanos
    assert comparison.production.completion_tokens == comparison.shadow.completion_tokens != 0
    assert (comparison.production.variant_key, comparison.shadow.variant_key) == ("stable", "copy")
    assert comparison.streamed == ("stream" in asking.__name__)
    assert (comparison.shadow.first_token_us is not None) == comparison.streamed
    # The provider says the same to the same question.
    assert comparison.likeness is not None
    assert comparison.likeness.exact
    assert comparison.likeness.tool_calls == (True if asking is tool_call else None)
    assert comparison.texts is None
    assert (coverage.sampled, coverage.compared, coverage.failed) == (1, 1, 0)
    assert coverage.cost_nanos == comparison.shadow.cost_nanos


async def test_texts_travel_only_where_they_are_kept(mirroring: Mirroring) -> None:
    await mirroring.define(shadow("copy", keep_text=True, text_days=3))
    async with mirroring.gateway.client() as client:
        answer = await client.chat.completions.create(model="support", messages=MESSAGES)

    (comparison,), _ = await mirroring.settled(1)
    said = answer.choices[0].message.content
    assert comparison.texts == (said, said)
    assert comparison.text_days == 3


async def test_only_a_share_is_mirrored_and_embeddings_never(
    mirroring: Mirroring, installation: Installation
) -> None:
    half = shadow("copy", sample_bp=5_000)
    await mirroring.define(half)
    async with mirroring.gateway.client() as client:
        await client.embeddings.create(model="support", input="numbers")
        await mirroring.ask(client, 60)
    outcomes = await installation.expect_outcomes(61)
    embeddings = min(outcomes, key=lambda outcome: outcome.started_at_us)
    asked = {outcome.request_id for outcome in outcomes} - {embeddings.request_id}
    sampled = {one for one in asked if basis_point(shadow_salt(half.salt), one) < half.sample_bp}

    comparisons, coverage = await mirroring.settled(len(sampled))
    assert 10 < len(sampled) < 50
    assert coverage.sampled == len(sampled)
    assert {one.comparison_id.hex for one in comparisons} <= sampled


async def test_a_shadow_leaves_no_trace_in_answers_and_outcomes(
    mirroring: Mirroring, installation: Installation
) -> None:
    await mirroring.define(shadow("copy"))
    async with mirroring.gateway.client() as client:
        (answer,) = await mirroring.ask(client)
    await mirroring.settled(1)

    assert not [value for value in answer.headers.values() if "copy" in value or "shadow" in value]
    assert "x-headgate-feedback-token" not in answer.headers
    outcome = await installation.outcome()
    assert outcome.assignments == ()
    assert [attempt.endpoint_key for attempt in outcome.attempts] == ["main"]


async def test_a_shadow_that_fails(mirroring: Mirroring) -> None:
    await mirroring.define(shadow("copy"), model="sim:error_rate=1")
    async with mirroring.gateway.client() as client:
        answers = await mirroring.ask(client, MIRRORED)
    assert {answer.status_code for answer in answers} == {200}

    comparisons, coverage = await mirroring.settled(MIRRORED)
    # After ten failures in a row its own breaker opens.
    assert (coverage.compared, coverage.shed.get("no_endpoint", 0)) == (0, MIRRORED - coverage.failed)
    assert len(comparisons) == coverage.failed >= 10
    assert {one.likeness for one in comparisons} == {None}
    assert {one.production.status for one in comparisons} == {OutcomeStatus.OK}
    assert {one.shadow.status for one in comparisons} == {OutcomeStatus.PROVIDER_ERROR}


@pytest.mark.parametrize("asking", [chat, chat_stream])
async def test_a_shadow_that_floods_is_cut_off(mirroring: Mirroring, asking: Asking) -> None:
    """Its answer is over a megabyte."""
    await mirroring.define(shadow("copy"), model="sim:tokens=400000")
    async with mirroring.gateway.client() as client:
        await asking(client)
    (comparison,), coverage = await mirroring.settled(1)
    assert (coverage.compared, coverage.failed, comparison.likeness) == (0, 1, None)
    expected = OutcomeStatus.PROVIDER_ERROR if asking is chat else OutcomeStatus.STREAM_BROKEN
    assert (comparison.production.status, comparison.shadow.status) == (OutcomeStatus.OK, expected)


async def test_failing_shadows_open_no_breaker_of_production(mirroring: Mirroring) -> None:
    """Both variants ask the same endpoint for the same model; the shadow alone is cut off."""
    config = shadow("copy", timeout_seconds=0.3)
    await mirroring._installation.publish(
        endpoint("main", f"{mirroring._provider_url}/v1"),
        route(
            "support",
            variant("stable", "main"),
            variant("copy", "main", parameters={"metadata": {"sim_fault": "hang"}}),
            shadow=config,
        ),
    )
    await mirroring.gateway.knows_routes(1)
    async with mirroring.gateway.client() as client:
        for _ in range(3):
            answers = await mirroring.ask(client, MIRRORED)
            assert {answer.status_code for answer in answers} == {200}
        comparisons, coverage = await mirroring.settled(3 * MIRRORED)
    assert {one.shadow.status for one in comparisons} == {OutcomeStatus.TIMEOUT}
    assert coverage.failed + coverage.shed["no_endpoint"] == 3 * MIRRORED
    state = await endpoint_state(mirroring.gateway, "main")
    assert [breaker["state"] for breaker in state["breakers"]] == ["closed"]


async def test_a_shadow_that_hangs_fills_its_bounds_and_no_more(mirroring: Mirroring) -> None:
    await mirroring.define(
        shadow("copy", max_concurrency=2, queue_limit=3, timeout_seconds=600), model="sim:hang_rate=1"
    )
    async with mirroring.gateway.client() as client:
        answers = await mirroring.ask(client, MIRRORED)
        assert {answer.status_code for answer in answers} == {200}
        async with asyncio.timeout(60):
            while (found := await metrics(mirroring.gateway)).get(
                ("headgate_shadow_requests_total", became("sampled"))
            ) != MIRRORED:
                await asyncio.sleep(0.02)
    labels = frozenset({("experiment", "the-shadow")})
    assert found["headgate_shadow_in_flight", labels] == 2
    assert found["headgate_shadow_waiting", labels] == 3
    assert found["headgate_shadow_requests_total", became("shed_queue_full")] == MIRRORED - 5
    assert found["headgate_endpoint_in_flight", frozenset({("endpoint", "other")})] == 0

    mirroring.gateway.stop.set()
    comparisons, coverage = await mirroring.settled(MIRRORED)
    assert comparisons == []
    assert coverage.shed == {"queue_full": MIRRORED - 5, "stopping": 5}


async def test_what_would_cost_too_much_is_shed(mirroring: Mirroring) -> None:
    """The first answer exceeds the limit; nobody could know before."""
    await mirroring.define(shadow("copy", max_concurrency=1, cost_limit_per_hour_nanos=1))
    async with mirroring.gateway.client() as client:
        answers = await mirroring.ask(client, MIRRORED)
    assert {answer.status_code for answer in answers} == {200}
    (only,), coverage = await mirroring.settled(MIRRORED)
    assert coverage.cost_nanos == only.shadow.cost_nanos != 0
    assert (coverage.compared, coverage.shed) == (1, {"cost_limit": MIRRORED - 1})


async def test_a_planned_end_is_the_end(mirroring: Mirroring) -> None:
    await mirroring.define(shadow("copy", ends_at=1.0))
    async with mirroring.gateway.client() as client:
        await mirroring.ask(client, 3)
    mirroring.gateway.stop.set()
    assert await mirroring.told() == ([], None)


def became(kind: str) -> frozenset[tuple[str, str]]:
    return frozenset({("experiment", "the-shadow"), ("became", kind)})
