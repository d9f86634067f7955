"""Every fault of the provider, on every surface, as the official client sees it and as it is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from services.demo.provider_behaviour import Fault
from services.domain.configuration import BreakerSettings
from services.domain.status import OutcomeStatus as S
from tests.integration.gateway.clients import Client, client_of
from tests.integration.gateway.fault_table import FAULTS, GOOD, NO_ANSWER, Row, table_markdown
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

DOCS = Path(__file__).parents[3] / "docs"
NEVER = BreakerSettings(minimum_requests=1_000_000, consecutive_failures=1_000_000)

SURFACES: dict[str, Callable[..., Any]] = {
    "chat/completions": lambda c, **k: c.chat.completions.create(messages=[], **k),
    "responses": lambda c, **k: c.responses.create(input="hi", **k),
    "completions": lambda c, **k: c.completions.create(prompt="Once", **k),
    "embeddings": lambda c, **k: c.embeddings.create(input="water", encoding_format="float", **k),
}
NOT_STREAMED = "embeddings"


def test_the_documented_table() -> None:
    assert {row.fault for row in FAULTS} == set(Fault)
    assert table_markdown() in (DOCS / "gateway.md").read_text()


async def seen(client: Client, surface: str, fault: str, *, streams: bool) -> tuple[str, str]:
    """Return what the client got, and the request's id."""
    extra: dict[str, Any] = {"extra_body": {"metadata": {"sim_fault": fault}}, "model": fault}
    if streams:
        extra["stream"] = True
    official = client.official
    request_ids: list[str] = []
    try:
        raw = await SURFACES[surface](_raw(official), **extra)
        request_ids.append(raw.headers["x-headgate-request-id"])
        answer = raw.parse()
        if streams:
            async for _ in answer:
                pass
    except openai.APIStatusError as error:
        return f"{error.status_code} `{error.code}`", error.response.headers["x-headgate-request-id"]
    except openai.APIError as error:
        return f"200, then `{error.code}`", request_ids[0]
    return GOOD, request_ids[0]


def _raw(official: openai.AsyncOpenAI) -> Any:
    return official.with_raw_response


def expected(row: Row, surface: str, *, streams: bool) -> tuple[str, S]:
    if streams:
        # A failed response is an event of its own kind, which the client hands out.
        inside = surface == "responses" and row.fault is Fault.ERROR_INSIDE
        return GOOD if inside else row.stream, row.stream_status
    # The simulated filter finds nothing wrong with vectors.
    unfiltered = surface == NOT_STREAMED and row.fault is Fault.CONTENT_FILTER
    return row.whole, S.OK if unfiltered else row.whole_status


@pytest.mark.parametrize("surface", SURFACES)
async def test_what_becomes_of_each_fault(
    installation: Installation, gateway: RunningGateway, provider_url: str, surface: str
) -> None:
    limits = {"first_byte_timeout_seconds": 1.5, "total_timeout_seconds": 3.0, "breaker": NEVER}
    slow = "sim:slow_ms=200"
    await installation.publish(
        *(endpoint(row.fault, f"{provider_url}/v1", model=slow, **limits) for row in FAULTS),
        *(route(row.fault, variant("stable", row.fault)) for row in FAULTS),
    )
    await gateway.knows_routes(len(FAULTS))
    ways = [False] if surface == NOT_STREAMED else [False, True]
    cases = [(row, streams) for row in FAULTS for streams in ways]
    async with client_of("AsyncOpenAI", gateway.url) as client:
        found = await asyncio.gather(
            *(seen(client, surface, row.fault, streams=streams) for row, streams in cases)
        )
    outcomes = {one.request_id: one for one in await installation.expect_outcomes(len(cases))}
    got = {
        (row.fault, streams): (told, outcomes[request_id].status)
        for (row, streams), (told, request_id) in zip(cases, found, strict=True)
    }
    assert got == {(row.fault, streams): expected(row, surface, streams=streams) for row, streams in cases}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_first_byte_that_comes_too_late(
    installation: Installation, gateway: RunningGateway, provider_url: str, streams: bool
) -> None:
    late = endpoint("late", f"{provider_url}/v1", model="sim:slow_ms=60000", first_byte_timeout_seconds=0.3)
    await installation.publish(late, route("slow", variant("stable", "late")))
    await gateway.knows_routes(1)
    async with client_of("AsyncOpenAI", gateway.url) as client:
        told, _ = await seen(client, "chat/completions", "slow", streams=streams)
    assert told == NO_ANSWER
    assert (await installation.outcome()).status is S.TIMEOUT
