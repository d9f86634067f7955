"""Feedback: what an answer's token brings back is on outcomes.v1 exactly when its sender hears so."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from services.domain.assignment import outcome_partition, unit_hash
from services.domain.configuration import SegmentConfig, TestConfig
from services.domain.events import UnitSource
from services.embedded.kafka import EmbeddedKafka
from services.gateway.feedback_keys import random_key
from services.messaging.settings import KafkaSettings
from tests.integration.gateway.clients import KINDS, client_of
from tests.integration.gateway.processes import gateway_process
from tests.integration.gateway.running import (
    KEY,
    PARTITIONS,
    Installation,
    RunningGateway,
    ab_test,
    credential,
    endpoint,
    route,
    running_gateway,
    variant,
)
from tests.integration.gateway.watching import metric

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
TOKEN = "x-headgate-feedback-token"


async def define(installation: Installation, gateway: RunningGateway, provider_url: str) -> TestConfig:
    """A route with a running test."""
    test = ab_test("stable", "one", segments=(SegmentConfig("tier", "x-tier"),))
    variants = variant("stable", "only"), variant("one", "only")
    await installation.publish(endpoint("only", f"{provider_url}/v1"), route("support", *variants, test=test))
    await gateway.knows_routes(1)
    return test


async def ask(client: openai.AsyncOpenAI, unit: str = "ada", **changes: Any) -> Any:
    """Return an answer with its headers."""
    return await client.chat.completions.with_raw_response.create(
        model="support",
        messages=MESSAGES,
        extra_headers={"x-headgate-unit": unit, "x-tier": "gold"},
        **changes,
    )


async def token_of(client: openai.AsyncOpenAI, unit: str = "ada") -> str:
    return str((await ask(client, unit)).headers[TOKEN])


async def send(client: openai.AsyncOpenAI, body: object) -> Any:
    """Post feedback with the official client; return what the gateway says."""
    return await client.post("/outcomes", body=body, cast_to=object)


@pytest.fixture
async def test(installation: Installation, gateway: RunningGateway, provider_url: str) -> TestConfig:
    return await define(installation, gateway, provider_url)


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with gateway.client() as client:
        yield client


async def test_feedback_arrives_once_with_everything_of_its_answer(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, test: TestConfig
) -> None:
    raw = await ask(client)
    token, request_id = raw.headers[TOKEN], raw.headers["x-request-id"]
    outcome = await installation.outcome()
    said = await send(client, {"token": token, "name": "satisfaction", "value": True})
    assert said == {"object": "feedback", "accepted": 1, "event_ids": [f"{request_id}:satisfaction"]}

    ((partition, (found,)),) = await installation.feedback()
    assert partition == outcome_partition(unit_hash("ada"), PARTITIONS)
    assert (found.name, found.value, found.is_boolean) == ("satisfaction", 1.0, True)
    assert (found.unit_hash, found.unit_source) == (unit_hash("ada"), UnitSource.HEADER)
    assert (found.request_id, found.route_key) == (request_id, "support")
    assert found.assignments == outcome.assignments
    assert found.assignments[0].experiment_id == test.experiment_id
    assert found.attributes == outcome.attributes == {"tier": "gold"}
    assert found.event_id == f"{request_id}:satisfaction"
    assert await metric(gateway, "headgate_feedback_accepted_total") == 1


@pytest.mark.usefixtures("test")
async def test_a_batch_goes_to_each_units_partition(
    installation: Installation, client: openai.AsyncOpenAI
) -> None:
    units = [f"user-{number}" for number in range(12)]
    items = [
        {
            "token": await token_of(client, unit),
            "name": "score",
            "value": number / 2,
            "event_id": f"e-{number}",
        }
        for number, unit in enumerate(units)
    ]
    said = await send(client, {"feedback": items})
    assert said["event_ids"] == [f"e-{number}" for number in range(12)]
    records = await installation.feedback()
    assert len({partition for partition, _ in records}) == len(records) == PARTITIONS
    arrived = {one.event_id: (one.unit_hash, one.value) for _, batch in records for one in batch}
    assert arrived == {f"e-{n}": (unit_hash(unit), n / 2) for n, unit in enumerate(units)}


@pytest.mark.usefixtures("test")
async def test_sent_twice_it_has_the_same_event_id(
    installation: Installation, client: openai.AsyncOpenAI
) -> None:
    piece = {"token": await token_of(client), "name": "resolved", "value": False}
    assert await send(client, piece) == await send(client, piece)
    ids = [one.event_id for _, batch in await installation.feedback() for one in batch]
    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.usefixtures("test")
async def test_streams_carry_a_token_too(client: openai.AsyncOpenAI) -> None:
    raw = await ask(client, stream=True)
    assert [chunk async for chunk in raw.parse()]
    assert (await send(client, {"token": raw.headers[TOKEN], "name": "score", "value": 4}))["accepted"] == 1


@pytest.mark.usefixtures("test")
@pytest.mark.parametrize("kind", KINDS)
async def test_under_every_clients_base_url(gateway: RunningGateway, kind: str) -> None:
    async with gateway.client() as asking:
        piece = {"token": await token_of(asking), "name": "score", "value": 4}
    async with client_of(kind, gateway.url) as client:
        said = await client.ask(lambda official: official.post("/outcomes", body=piece, cast_to=object))
    assert said["accepted"] == 1


async def test_an_answer_without_an_assignment_has_no_token(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI, provider_url: str
) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    await gateway.knows_routes(1)
    assert TOKEN not in (await ask(client)).headers


@pytest.mark.usefixtures("test")
async def test_what_is_refused_says_why_and_leaves_nothing(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI
) -> None:
    good: dict[str, Any] = {"token": await token_of(client), "name": "score", "value": 1}
    forged = good["token"][:-2] + "AA"
    for body, code, param in (
        (good | {"token": forged}, "invalid_feedback_token", "token"),
        ({"feedback": [good, good | {"value": "x"}]}, "invalid_feedback", "feedback[1].value"),
        ({"feedback": [good, good | {"token": forged}]}, "invalid_feedback_token", "feedback[1].token"),
    ):
        with pytest.raises(openai.BadRequestError) as raised:
            await send(client, body)
        assert (raised.value.code, raised.value.param) == (code, param)
        told: Any = raised.value.body
        assert told["details"][0]["param"] == param
    assert await installation.feedback() == []
    labels = {"code": "invalid_feedback_token"}
    assert await metric(gateway, "headgate_feedback_rejected_total", **labels) == 2


async def test_a_token_expires(installation: Installation, provider_url: str, tmp_path: Path) -> None:
    async with (
        running_gateway(installation.kafka, tmp_path, feedback_days=0) as gateway,
        gateway.client() as client,
    ):
        await define(installation, gateway, provider_url)
        with pytest.raises(openai.BadRequestError) as raised:
            await send(client, {"token": await token_of(client), "name": "score", "value": 1})
        assert (raised.value.code, raised.value.param) == ("expired_feedback_token", "token")


@pytest.mark.usefixtures("test")
async def test_who_may_report(
    installation: Installation, gateway: RunningGateway, client: openai.AsyncOpenAI
) -> None:
    await installation.publish(
        credential("hg-of-another-route", routes=("sales",)), route("last", variant("stable", "only"))
    )
    await gateway.knows_routes(2)
    piece = {"token": await token_of(client), "name": "score", "value": 1}
    async with gateway.client("hg-unknown") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await send(stranger, piece)
    async with gateway.client("hg-of-another-route") as other:
        with pytest.raises(openai.BadRequestError) as raised:
            await send(other, piece)
        assert raised.value.code == "model_not_allowed"
    assert await installation.feedback() == []


@pytest.mark.usefixtures("test")
async def test_other_methods_and_sizes(gateway: RunningGateway) -> None:
    url, headers = f"{gateway.url}/v1/outcomes", {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(url) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (405, "method_not_allowed")
        async with session.post(url, data=io.BytesIO(b"[" * 2_100_000)) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")


async def test_gateways_that_share_a_key_take_each_others_tokens(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(random_key())
    shared = {"feedback_key": f"file:{path}"}
    async with (
        running_gateway(installation.kafka, tmp_path / "one", **shared) as one,
        running_gateway(installation.kafka, tmp_path / "two", **shared) as two,
        running_gateway(installation.kafka, tmp_path / "alone") as alone,
        one.client() as of_one,
        two.client() as of_two,
        alone.client() as of_alone,
    ):
        await define(installation, one, provider_url)
        await two.until(lambda state: state["ready"])
        await alone.until(lambda state: state["ready"])
        piece = {"token": await token_of(of_one), "name": "score", "value": 1}
        assert (await send(of_two, piece))["accepted"] == 1
        with pytest.raises(openai.BadRequestError, match="same feedback key"):
            await send(of_alone, piece)


async def test_without_its_key_a_gateway_serves_and_says_so(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    async with (
        running_gateway(installation.kafka, tmp_path / "state", feedback_key=f"file:{path}") as gateway,
        gateway.client() as client,
    ):
        await define(installation, gateway, provider_url)
        assert TOKEN not in (await ask(client)).headers
        feedback = (await gateway.readiness())["checks"]["feedback"]
        assert feedback == {"ok": False, "key": "the reference leads to no key"}
        path.write_text(random_key())
        await gateway.until(lambda state: state["checks"]["feedback"]["ok"])
        assert TOKEN in (await ask(client)).headers


async def test_the_processes_of_one_gateway_share_the_key_they_make(
    installation: Installation, provider_url: str, tmp_path: Path
) -> None:
    async with gateway_process(installation, tmp_path, "--processes", "3") as (_, gateway):
        await define(installation, gateway, provider_url)
        takers: set[int] = set()
        async with asyncio.timeout(60), gateway.client() as client:
            piece = {"token": await token_of(client), "name": "score", "value": 1}
            while len(takers) < 2:
                # A client of its own is a connection of its own, which any process may accept.
                async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
                    async with session.post(f"{gateway.url}/v1/outcomes", json=piece) as answer:
                        assert answer.status in (202, 503), await answer.text()
                        taken = answer.status == 202
                    async with session.get(f"{gateway.url}/readyz") as answer:
                        if taken:
                            takers.add((await answer.json())["process"])


async def test_while_kafka_is_away_nothing_is_acknowledged(
    own_kafka: EmbeddedKafka, provider_url: str, tmp_path: Path
) -> None:
    installation = Installation(KafkaSettings(kafka=own_kafka.bootstrap_servers))
    await installation.create()
    async with (
        running_gateway(installation.kafka, tmp_path, feedback_wait_seconds=0.5) as gateway,
        gateway.client() as client,
    ):
        await define(installation, gateway, provider_url)
        piece = {"token": await token_of(client), "name": "score", "value": 1}
        assert (await send(client, piece | {"event_id": "before"}))["accepted"] == 1
        own_kafka.kill()
        with pytest.raises(openai.InternalServerError) as raised:
            await send(client, piece | {"event_id": "during"})
        assert (raised.value.status_code, raised.value.code) == (503, "feedback_not_stored")
        assert int(raised.value.response.headers["retry-after"]) > 0
        # Requests are served as if nothing were the matter.
        assert (await ask(client)).headers[TOKEN]

        await asyncio.to_thread(own_kafka.restart)
        retrying = client.with_options(max_retries=20)
        assert (await send(retrying, piece | {"event_id": "during"}))["accepted"] == 1
        ids = {one.event_id for _, batch in await installation.feedback() for one in batch}
        assert ids == {"before", "during"}
        assert await metric(gateway, "headgate_feedback_rejected_total", code="feedback_not_stored") >= 1
