"""Traces and metrics at a real collector: of a real gateway, asked by the official client."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.integration.gateway.collecting import Collector, Span, collecting
from tests.integration.gateway.recorder import Recorder, recording
from tests.integration.gateway.running import (
    KEY,
    SECRET,
    Installation,
    RunningGateway,
    credential,
    endpoint,
    experiment,
    route,
    running_gateway,
    variant,
)
from tests.integration.gateway.watching import metric, page

ASKED = "the-question-is-a-canary-string-3"
ANSWERED = "the-answer-is-a-canary-string-4"
UNIT = "unit-canary-string-5"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "gpt-x-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWERED}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}},
}
MESSAGES: list[Any] = [{"role": "user", "content": ASKED}]


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with collecting() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        yield one


@dataclass(frozen=True)
class Rig:
    """A gateway that exports to the collector, and the official client for it."""

    installation: Installation
    gateway: RunningGateway
    client: openai.AsyncOpenAI

    async def serve(self, url: str, **changes: Any) -> None:
        await serve(self.installation, self.gateway, url, **changes)


@pytest.fixture
async def rig(collector: Collector, installation: Installation, tmp_path: Path) -> AsyncIterator[Rig]:
    assert collector.url
    async with running_gateway(installation.kafka, tmp_path / "state") as gateway:
        await gateway.until(lambda state: state["ready"])
        async with gateway.client() as client:
            yield Rig(installation, gateway, client)


@pytest.fixture
async def upstream() -> AsyncIterator[Recorder]:
    async with recording() as recorder:
        recorder.answer = json.dumps(ANSWER).encode()
        yield recorder


async def serve(installation: Installation, gateway: RunningGateway, url: str, **changes: Any) -> None:
    await installation.publish(
        endpoint("only", f"{url}/v1"), route("support", variant("stable", "only", model="gpt-x"), **changes)
    )
    await gateway.knows_routes(1)


def by_kind(spans: list[Span]) -> tuple[Span, list[Span]]:
    """The request's span, and those of its attempts in their order."""
    (server,) = (span for span in spans if span.kind == "server")
    return server, sorted((span for span in spans if span.kind == "client"), key=lambda one: one.started_ns)


async def test_a_request_continues_its_callers_trace_up_to_the_provider(
    rig: Rig, collector: Collector, upstream: Recorder
) -> None:
    canary = experiment("stable", "stable", 9_999, lease_limit_seconds=1e12, on_blind="hold")
    await rig.installation.publish(credential(team="team-a"))
    await rig.serve(upstream.url, experiment=canary)
    headers = {
        "traceparent": TRACEPARENT,
        "x-client-request-id": "mine-1",
        "x-headgate-unit": UNIT,
    }
    raw = await rig.client.chat.completions.with_raw_response.create(
        model="support", messages=MESSAGES, temperature=0.5, max_tokens=9, extra_headers=headers
    )
    server, (attempt,) = by_kind(await collector.expect(2))

    assert (server.trace_id, server.parent_id) == (TRACE, PARENT)
    assert (attempt.trace_id, attempt.parent_id) == (TRACE, server.span_id)
    (asked,) = upstream.asked
    assert asked.headers["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"
    assert server.started_ns <= attempt.started_ns <= attempt.ended_ns <= server.ended_ns

    request_id = raw.headers["x-request-id"]
    assert asked.headers["x-client-request-id"] == request_id
    assert raw.headers["x-client-request-id"] == "mine-1"
    assert (server.name, server.error) == ("chat support", False)
    assert server.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "support",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.output_tokens": 7,
        "headgate.allocation": 7,
        "headgate.attempts": 1,
        "headgate.client_request_id": "mine-1",
        "headgate.experiment": "the-canary",
        "headgate.key_id": "key-1",
        "headgate.outcome": "ok",
        "headgate.request_id": request_id,
        "headgate.role": "treatment",
        "headgate.route": "support",
        "headgate.team": "team-a",
        "headgate.variant": "stable",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
    }
    port = int(upstream.url.rsplit(":", 1)[1])
    assert (attempt.name, attempt.error) == ("chat gpt-x", False)
    assert attempt.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.stream": False,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.output_tokens": 7,
        "headgate.endpoint": "only",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert server.resource["service.name"] == "headgate-gateway"
    outcome = await rig.installation.outcome()
    assert outcome.request_id == request_id
    for secret in (ASKED, ANSWERED, KEY, SECRET, UNIT, str(outcome.unit_hash)):
        assert secret.encode() not in collector.raw


async def test_every_attempt_has_a_span(rig: Rig, collector: Collector, provider_url: str) -> None:
    await rig.installation.publish(
        endpoint("first", f"{provider_url}/v1", model="sim:error_rate=1,error_status=503"),
        endpoint("second", "http://127.0.0.1:1/v1", priority=1),
        endpoint("third", f"{provider_url}/v1", priority=2),
        route("support", variant("stable", "first", "second", "third")),
    )
    await rig.gateway.knows_routes(1)
    await rig.client.chat.completions.create(model="support", messages=MESSAGES)
    server, clients = by_kind(await collector.expect(4))
    assert [span.parent_id for span in clients] == [server.span_id] * 3
    assert [
        (
            span.attributes["headgate.endpoint"],
            span.attributes.get("http.response.status_code"),
            span.attributes.get("error.type"),
            span.error,
            "gen_ai.usage.output_tokens" in span.attributes,
        )
        for span in clients
    ] == [
        ("first", 503, "503", True, False),
        ("second", None, "connection_failed", True, False),
        ("third", 200, None, False, True),
    ]
    assert server.attributes["headgate.attempts"] == 3
    assert not server.error
    # Ends are by another clock than beginnings, so the two may overlap by a fraction of a millisecond.
    assert clients[0].started_ns < clients[1].started_ns < clients[2].started_ns


async def test_streams(rig: Rig, collector: Collector, provider_url: str) -> None:
    await rig.serve(provider_url)
    stream = await rig.client.chat.completions.create(model="support", messages=MESSAGES, stream=True)
    assert [chunk async for chunk in stream]
    server, (attempt,) = by_kind(await collector.expect(2))
    for span in (server, attempt):
        assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] < 60
        assert span.attributes["gen_ai.usage.output_tokens"] > 0
    assert attempt.attributes["gen_ai.request.stream"] is True
    assert attempt.attributes["gen_ai.response.model"] == "gpt-x"
    assert attempt.ended_ns <= server.ended_ns


async def test_a_stream_that_breaks_is_an_error(rig: Rig, collector: Collector, provider_url: str) -> None:
    await rig.serve(provider_url)
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in await rig.client.chat.completions.create(
            model="support", messages=MESSAGES, stream=True, metadata={"sim_fault": "broken"}
        ):
            pass
    server, (attempt,) = by_kind(await collector.expect(2))
    for span in (server, attempt):
        assert (span.error, span.attributes["error.type"]) == (True, "stream_broken")


async def test_refusals_and_what_nobody_answers(rig: Rig, collector: Collector) -> None:
    await rig.serve("http://127.0.0.1:1")
    with pytest.raises(openai.NotFoundError):
        await rig.client.chat.completions.create(model="unknown", messages=MESSAGES)
    with pytest.raises(openai.InternalServerError):
        await rig.client.embeddings.create(model="support", input="x")
    spans = sorted(await collector.expect(3), key=lambda span: span.started_ns)
    refused, failed, attempt = spans
    assert (refused.name, refused.error) == ("chat", False)
    assert refused.attributes["error.type"] == "model_not_found"
    assert refused.attributes["http.response.status_code"] == 404
    assert (failed.name, failed.error) == ("embeddings support", True)
    assert failed.attributes["headgate.outcome"] == "connection_failed"
    assert (attempt.kind, attempt.parent_id) == ("client", failed.span_id)


async def test_a_trace_that_its_caller_does_not_record_is_not_exported(
    rig: Rig, collector: Collector, upstream: Recorder
) -> None:
    await rig.serve(upstream.url)
    unsampled = TRACEPARENT.removesuffix("01") + "00"
    for traceparent in (unsampled, "not-a-traceparent"):
        await rig.client.chat.completions.create(
            model="support", messages=MESSAGES, extra_headers={"traceparent": traceparent}
        )
    server, _ = by_kind(await collector.expect(2))
    assert server.trace_id != TRACE
    assert not server.parent_id
    first, second = (asked.headers["traceparent"] for asked in upstream.asked)
    assert first.startswith(f"00-{TRACE}-")
    assert first.endswith("-00")
    assert second.startswith(f"00-{server.trace_id}-")


@pytest.mark.parametrize("streamed", [False, True])
async def test_contents_are_there_where_the_route_has_opted_in(
    rig: Rig,
    collector: Collector,
    upstream: Recorder,
    streamed: bool,
) -> None:
    if streamed:
        delta = {"id": "1", "choices": [{"index": 0, "delta": {"content": ANSWERED}}]}
        upstream.answer = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(delta).encode()
        upstream.answer_headers = [(b"content-type", b"text/event-stream")]
    await rig.serve(upstream.url, record_content=True)
    answer = await rig.client.chat.completions.create(
        model="support",
        messages=[{"role": "system", "content": "Be brief."}, *MESSAGES],
        stream=streamed,
    )
    if streamed:
        assert [chunk async for chunk in answer]
    _, (attempt,) = by_kind(await collector.expect(2))
    assert json.loads(attempt.attributes["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": ASKED}]},
    ]
    (message,) = json.loads(attempt.attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": ANSWERED}]
    assert KEY.encode() not in collector.raw


async def test_metrics(rig: Rig, collector: Collector, provider_url: str) -> None:
    await rig.serve(provider_url)
    await rig.client.chat.completions.create(model="support", messages=MESSAGES)
    with pytest.raises(openai.InternalServerError):
        await rig.client.chat.completions.create(
            model="support", messages=MESSAGES, metadata={"sim_fault": "error"}
        )
    async for _ in await rig.client.chat.completions.create(model="support", messages=MESSAGES, stream=True):
        pass
    async with asyncio.timeout(60):
        while sum(one.count for one in await collector.histogram("gen_ai.client.operation.duration")) < 3:
            await asyncio.sleep(0.02)
    durations = await collector.histogram("gen_ai.client.operation.duration")
    assert {one.attributes.get("error.type"): one.count for one in durations} == {None: 2, "500": 1}
    assert durations[0].unit == "s"
    assert durations[0].bounds[:3] == (0.01, 0.02, 0.04)
    tokens = await collector.histogram("gen_ai.client.token.usage")
    by_type = {one.attributes["gen_ai.token.type"]: one for one in tokens}
    assert {name: one.count for name, one in by_type.items()} == {"input": 2, "output": 2}
    assert by_type["output"].total > 0
    (first_token,) = await collector.histogram("gen_ai.server.time_to_first_token")
    assert first_token.count == 1
    expected = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"}
    assert first_token.attributes.keys() == expected | {"server.address", "server.port"}


async def test_a_collector_that_is_down_costs_no_request(
    rig: Rig,
    collector: Collector,
    upstream: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector.refusing = True
    caplog.set_level(logging.INFO)
    await rig.serve(upstream.url)
    while await failed(rig.gateway) < 2 or not collector.requests:
        await rig.client.chat.completions.create(model="support", messages=MESSAGES)
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING and "traces" in one.message]
    assert len(warnings) == 1
    assert collector.url.removeprefix("http://") in warnings[0].message
    assert not [one for one in caplog.records if one.name.startswith("opentelemetry")]
    collector.refusing = False
    await collector.until(lambda spans: len(spans) > 0)


async def failed(gateway: RunningGateway) -> float:
    """How many spans were lost."""
    return await metric(gateway, "headgate_telemetry_failed_total", signal="traces")


async def test_what_is_waiting_is_exported_at_the_end(
    installation: Installation,
    collector: Collector,
    upstream: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "600000")
    async with running_gateway(installation.kafka, tmp_path / "state") as gateway:
        await gateway.until(lambda state: state["ready"])
        await serve(installation, gateway, upstream.url)
        async with gateway.client() as client:
            await client.chat.completions.create(model="support", messages=MESSAGES)
        assert not collector.spans
    assert len(collector.spans) == 2
    assert "gen_ai.client.token.usage" in collector.histograms


async def test_a_collector_that_hangs_holds_up_no_stop(
    installation: Installation,
    collector: Collector,
    upstream: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100000")
    collector.silent = True
    async with running_gateway(installation.kafka, tmp_path / "state", flush_grace_seconds=1) as gateway:
        await gateway.until(lambda state: state["ready"])
        await serve(installation, gateway, upstream.url)
        async with gateway.client() as client:
            await client.chat.completions.create(model="support", messages=MESSAGES)
        async with asyncio.timeout(60):
            while not collector.requests:
                await asyncio.sleep(0.02)
    assert "no collector has taken" in caplog.text


async def test_openmetrics_where_it_is_asked_for(gateway: RunningGateway) -> None:
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with (
        aiohttp.ClientSession(headers=wanted) as session,
        session.get(f"{gateway.url}/metrics") as answer,
    ):
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_nothing_is_traced_unless_it_is_asked_for(
    installation: Installation, gateway: RunningGateway, upstream: Recorder
) -> None:
    await serve(installation, gateway, upstream.url)
    async with gateway.client() as client:
        await client.chat.completions.create(
            model="support", messages=MESSAGES, extra_headers={"traceparent": TRACEPARENT}
        )
    assert "traceparent" not in upstream.asked[0].headers
    assert "headgate_telemetry" not in await page(gateway, "/metrics")


async def test_the_callers_id_comes_back_beside_ours(
    installation: Installation, gateway: RunningGateway, upstream: Recorder
) -> None:
    await serve(installation, gateway, upstream.url)
    url = f"{gateway.url}/v1/chat/completions"
    good = json.dumps({"model": "support", "messages": MESSAGES})
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        for body in (good, "[]"):
            for given, expected in (
                ({"x-client-request-id": "a b", "x-request-id": "other"}, "a b"),
                ({"x-request-id": "x" * 128}, "x" * 128),
                ({"x-request-id": "x" * 129}, None),
                ({"x-request-id": "é"}, None),
                ({}, None),
            ):
                async with session.post(url, data=body, headers=given) as answer:
                    assert answer.headers.get("x-client-request-id") == expected
                    ours = answer.headers["x-request-id"]
                    assert len(ours) == 32
                    assert answer.headers["x-headgate-request-id"] == ours
    sent = {asked.headers["x-client-request-id"] for asked in upstream.asked}
    assert len(sent) == 5
    assert {one.request_id for one in await installation.expect_outcomes(5)} == sent
