"""What answers say in the end, whole and put together of events."""

import json
from typing import Any

import pytest

from services.domain.likeness import AnswerText, ToolCall
from services.gateway.answer_text import AnswerReader


def whole(document: Any) -> AnswerText | None:
    reader = AnswerReader()
    reader.read_whole(json.dumps(document).encode())
    return reader.text


def streamed(*documents: Any, end: bytes = b"data: [DONE]\n\n") -> AnswerText | None:
    reader = AnswerReader()
    for document in documents:
        reader.read_events(b"data: " + json.dumps(document).encode() + b"\n\n")
    reader.read_events(end)
    return reader.text


def delta(index: int = 0, **content: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": content}]}


def call(arguments: str, name: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": arguments}}


def test_whole_answers() -> None:
    assert whole({"choices": [{"message": {"content": "hello"}}]}) == AnswerText("hello")
    assert whole({"choices": [{"text": "hello"}]}) == AnswerText("hello")
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}, {"type": "image"}]
    assert whole({"choices": [{"message": {"content": parts}}]}) == AnswerText("hello")
    assert whole({"choices": [{"message": {"content": None, "refusal": "no"}}]}) == AnswerText("no")
    said = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    called = {"type": "function_call", "name": "f", "arguments": "{}"}
    assert whole({"output": [{"type": "reasoning"}, said, called]}) == AnswerText(
        "hello", (ToolCall("f", "{}"),)
    )


def test_several_choices_are_in_their_order() -> None:
    choices = [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]
    assert whole({"choices": choices}) == AnswerText("a\nb")
    assert streamed(delta(1, content="b"), delta(0, content="a"), delta(1, content="c")) == AnswerText(
        "a\nbc"
    )


def test_streams_say_what_whole_answers_do() -> None:
    assert streamed(
        delta(role="assistant", content=""), delta(content="hel"), delta(content="lo")
    ) == AnswerText("hello")
    calls = [
        delta(tool_calls=[call("", "one")]),
        delta(tool_calls=[call('{"a"', index=0), call("", "two", 1)]),
        delta(tool_calls=[call(":1}", index=0), call("{}", index=1)]),
    ]
    assert streamed(*calls) == AnswerText("", (ToolCall("one", '{"a":1}'), ToolCall("two", "{}")))


def test_the_last_event_of_a_response_has_it_all() -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    found = streamed(
        {"type": "response.created", "response": {"output": []}},
        {"type": "response.output_text.delta", "delta": "hello"},
        {"type": "response.output_item.done", "item": said},
        {"type": "response.completed", "response": {"output": [said]}},
        end=b"",
    )
    assert found == AnswerText("hello")


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[]", b'{"error": {"code": "x"}}', b'{"choices": [{"index": "x"}]}']
)
def test_what_is_no_answer(document: bytes) -> None:
    reader = AnswerReader()
    reader.read_whole(document)
    reader.read_events(b"data: " + document + b"\n\n")
    assert reader.text is None


def test_an_answer_may_be_empty() -> None:
    assert whole({"choices": [{"message": {"content": ""}}]}) == AnswerText("")
