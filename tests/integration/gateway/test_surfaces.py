"""Unchanged official clients on every surface, synchronous or not, as OpenAI's or Azure's customers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pydantic
import pytest

from services.domain.status import OutcomeStatus
from tests.integration.gateway.clients import KINDS, Client, client_of
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
WORDS = "the gate opens for water "
PROVIDERS: dict[str, dict[str, Any]] = {
    "openai": {"endpoint_kind": "openai"},
    "azure, dated": {"endpoint_kind": "azure_openai", "api_version": "2024-10-21"},
    "azure, v1": {"endpoint_kind": "azure_openai", "auth": "bearer"},
}


class Depth(pydantic.BaseModel):
    metres: int
    certain: bool


class Gate(pydantic.BaseModel):
    name: str
    state: Literal["open", "shut"]
    depths: list[Depth]
    note: str | None


GATE = Gate(name="clear water", state="open", depths=[Depth(metres=1, certain=True)], note="clear water")
CHAT_TOOL: Any = {
    "type": "function",
    "function": {"name": "find_gate", "parameters": Gate.model_json_schema()},
}
RESPONSE_TOOL: Any = {"type": "function", "name": "find_gate", "parameters": Gate.model_json_schema()}


async def chat(client: Client) -> None:
    whole = await client.ask(lambda c: c.chat.completions.create(model="support", messages=MESSAGES))
    assert whole.choices[0].message.content == WORDS
    assert whole.usage.completion_tokens == 5
    asked = {"model": "support", "messages": MESSAGES, "stream": True}
    chunks = await client.stream(lambda c: c.chat.completions.create(**asked))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WORDS
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    usage = {"stream_options": {"include_usage": True}}
    chunks = await client.stream(lambda c: c.chat.completions.create(**asked, **usage))
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 5)


async def chat_tools(client: Client) -> None:
    asked = {"model": "support", "messages": MESSAGES, "tools": [CHAT_TOOL], "tool_choice": "required"}
    whole = await client.ask(lambda c: c.chat.completions.create(**asked))
    (call,) = whole.choices[0].message.tool_calls
    assert (call.function.name, whole.choices[0].finish_reason) == ("find_gate", "tool_calls")
    assert Gate.model_validate_json(call.function.arguments) == GATE
    events, completion = await client.helped(
        lambda c: c.chat.completions.stream(**asked), "get_final_completion"
    )
    assert {"chunk", "tool_calls.function.arguments.delta"} <= {event.type for event in events}
    assert completion.choices[0].message.tool_calls[0].function.arguments == call.function.arguments


async def chat_structured(client: Client) -> None:
    asked = {"model": "support", "messages": MESSAGES, "response_format": Gate}
    parsed = await client.ask(lambda c: c.chat.completions.parse(**asked))
    assert parsed.choices[0].message.parsed == GATE
    _, completion = await client.helped(lambda c: c.chat.completions.stream(**asked), "get_final_completion")
    assert completion.choices[0].message.parsed == GATE


async def responses(client: Client) -> None:
    whole = await client.ask(lambda c: c.responses.create(model="support", input="hi", instructions="Short."))
    assert (whole.output_text, whole.usage.output_tokens) == (WORDS, 5)
    events = await client.stream(lambda c: c.responses.create(model="support", input=MESSAGES, stream=True))
    assert [event.type for event in events][:: len(events) - 1] == ["response.created", "response.completed"]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == WORDS
    assert events[-1].response.usage.output_tokens == 5


async def responses_tools(client: Client) -> None:
    asked = {"model": "support", "input": "hi", "tools": [RESPONSE_TOOL], "tool_choice": "required"}
    whole = await client.ask(lambda c: c.responses.create(**asked))
    assert (whole.output[0].type, whole.output[0].name) == ("function_call", "find_gate")
    events = await client.stream(lambda c: c.responses.create(**asked, stream=True))
    arguments = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(arguments) == whole.output[0].arguments
    assert Gate.model_validate_json(whole.output[0].arguments) == GATE


async def responses_structured(client: Client) -> None:
    parsed = await client.ask(lambda c: c.responses.parse(model="support", input="hi", text_format=Gate))
    assert parsed.output_parsed == GATE
    events, response = await client.helped(
        lambda c: c.responses.stream(model="support", input="hi", text_format=Gate), "get_final_response"
    )
    assert "response.output_text.done" in [event.type for event in events]
    assert response.output_parsed == GATE


async def completions(client: Client) -> None:
    whole = await client.ask(lambda c: c.completions.create(model="support", prompt="Once"))
    assert (whole.choices[0].text, whole.usage.completion_tokens) == (WORDS, 5)
    chunks = await client.stream(lambda c: c.completions.create(model="support", prompt="Once", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == WORDS


async def embeddings(client: Client) -> None:
    given = ["water", "gate", "water"]
    answer = await client.ask(lambda c: c.embeddings.create(model="support", input=given, dimensions=4))
    first, second, third = (item.embedding for item in answer.data)
    assert first == third != second
    assert len(first) == 4
    plain = await client.ask(
        lambda c: c.embeddings.create(model="support", input="water", dimensions=4, encoding_format="float")
    )
    assert plain.data[0].embedding == pytest.approx(first)


async def models(client: Client) -> None:
    assert [model.id for model in await client.pages(lambda c: c.models.list())] == ["support"]
    assert (await client.ask(lambda c: c.models.retrieve("support"))).owned_by == "headgate"


async def raw_response(client: Client) -> None:
    raw = await client.ask(
        lambda c: c.chat.completions.with_raw_response.create(model="support", messages=MESSAGES)
    )
    assert raw.headers["x-headgate-route"] == "support"
    assert json.loads(raw.content)["model"] == "sim:tokens=5"


SURFACES: list[Callable[[Client], Awaitable[None]]] = [
    chat,
    chat_tools,
    chat_structured,
    responses,
    responses_tools,
    responses_structured,
    completions,
    embeddings,
    models,
    raw_response,
]
REQUESTS = 18


@pytest.mark.parametrize(
    ("kind", "provider"),
    [*((kind, "openai") for kind in KINDS), ("AsyncOpenAI", "azure, dated"), ("AzureOpenAI", "azure, v1")],
)
async def test_official_clients(
    installation: Installation, gateway: RunningGateway, provider_url: str, kind: str, provider: str
) -> None:
    changes = PROVIDERS[provider]
    url = f"{provider_url}/v1" if provider == "openai" else provider_url
    await installation.publish(
        endpoint("only", url, **changes), route("support", variant("stable", "only", model="sim:tokens=5"))
    )
    await gateway.knows_routes(1)
    async with client_of(kind, gateway.url) as client:
        for surface in SURFACES:
            await surface(client)
    outcomes = await installation.expect_outcomes(REQUESTS)
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.OK}
    assert None not in {outcome.prompt_tokens for outcome in outcomes}
    assert [outcome.completion_tokens for outcome in outcomes].count(None) == 2  # embeddings
    assert all((outcome.first_token_us is not None) == outcome.streamed for outcome in outcomes)
