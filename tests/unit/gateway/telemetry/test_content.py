"""What was asked and answered, as the conventions have it, from every surface."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.domain.likeness import AnswerText, ToolCall
from services.gateway.body import open_body
from services.gateway.surfaces import CHAT, COMPLETIONS, RESPONSES, Call, Surface
from services.gateway.telemetry.answered import read
from services.gateway.telemetry.content import (
    LONGEST_BYTES,
    LONGEST_TEXT,
    input_attributes,
    output_attributes,
)
from tests.unit.gateway.shapes import SHAPES


def asked(surface: Surface, **body: Any) -> dict[str, Any]:
    """The attributes of a request, read back."""
    document = json.dumps({"model": "support"} | body).encode()
    attributes = input_attributes(open_body(document, Call(surface)))
    return {name: json.loads(str(value)) for name, value in attributes.items()}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "content": words}


def test_chat() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    found = asked(
        CHAT,
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Where?"}, {"type": "image_url", "image_url": {}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "There."},
        ],
    )
    assert found == {
        "gen_ai.input.messages": [
            {"role": "system", "parts": [text("Be brief.")]},
            {"role": "user", "parts": [text("Where?"), {"type": "image_url"}]},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "1", "name": "look", "arguments": "{}"}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "There."}]},
        ]
    }


@pytest.mark.parametrize(
    ("surface", "body"),
    [
        (RESPONSES, {"input": "Where?"}),
        (COMPLETIONS, {"prompt": "Where?"}),
        (COMPLETIONS, {"prompt": ["Where?"]}),
    ],
)
def test_the_other_surfaces(surface: Surface, body: dict[str, Any]) -> None:
    assert asked(surface, **body)["gen_ai.input.messages"] == [{"role": "user", "parts": [text("Where?")]}]


def test_instructions() -> None:
    found = asked(RESPONSES, input=[{"role": "user", "content": "a"}], instructions="Be brief.")
    assert found["gen_ai.system_instructions"] == [text("Be brief.")]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        3,
        {},
        [[]],
        [{"role": 3, "content": 4}],
        [{"tool_calls": 5}],
        [{"tool_calls": [1, {"function": 2}]}],
    ],
)
def test_what_is_no_conversation_breaks_nothing(messages: Any) -> None:
    asked(CHAT, messages=messages)


def test_shapes_of_real_requests() -> None:
    for shape in SHAPES:
        asked(CHAT, **shape)


def test_bounds() -> None:
    (message,) = asked(CHAT, messages=[{"role": "user", "content": "x" * LONGEST_TEXT * 2}])[
        "gen_ai.input.messages"
    ]
    assert len(message["parts"][0]["content"]) == LONGEST_TEXT
    many = [{"role": "user", "content": f"{number} " + "x" * 1_000} for number in range(500)]
    kept = asked(CHAT, messages=many)["gen_ai.input.messages"]
    assert LONGEST_BYTES * 0.9 < len(json.dumps(kept)) < LONGEST_BYTES * 1.1
    assert kept[-1]["parts"][0]["content"].startswith("499 ")


def test_the_answer() -> None:
    found = output_attributes(AnswerText("There.", (ToolCall("look", "{}"),)), ("stop",))
    assert json.loads(str(found["gen_ai.output.messages"])) == [
        {
            "role": "assistant",
            "parts": [text("There."), {"type": "tool_call", "name": "look", "arguments": "{}"}],
            "finish_reason": "stop",
        }
    ]


@pytest.mark.parametrize(
    "first",
    [
        b'{"id": "a", "model": "m", "choices": [{"finish_reason": "stop"}]}',
        b'data: {"id": "a", "model": "m", "choices": []}\n\ndata: {"id": "b"}\n\n',
        b'event: response.created\ndata: {"response": {"id": "a", "model": "m"}}\n\n',
    ],
)
def test_what_an_answer_says_of_itself(first: bytes) -> None:
    said = read(first)
    assert (said.id, said.model) == ("a", "m")


@pytest.mark.parametrize("first", [b"", b"oops", b"[]", b'{"choices": 3}', b"data: [DONE]\n\n", b"\xff"])
def test_what_is_not_understood_says_nothing(first: bytes) -> None:
    assert read(first).model is None
