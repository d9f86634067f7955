"""What a health check reads out of answers of each surface."""

import json
from typing import Any

import pytest

from services.api.health_answers import read_stream, storable, text_of


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"choices": [{"message": {"content": "hello"}}, {"message": {"content": "other"}}]}, "hello"),
        ({"choices": [{"text": "once upon"}]}, "once upon"),
        ({"choices": [{"message": {"content": None}}]}, ""),
        (
            {
                "output": [
                    {"type": "reasoning"},
                    {"content": [{"type": "output_text", "text": "a"}, {"text": "b"}]},
                ]
            },
            "ab",
        ),
        ({"error": {"message": "out of order"}}, "out of order"),
        ({"error": "plain"}, "plain"),
        ({"data": [{"embedding": [0.1]}]}, ""),
        ({"choices": "x", "output": 5}, ""),
        ([1], ""),
        (None, ""),
    ],
)
def test_the_text_of_an_answer(document: Any, text: str) -> None:
    assert text_of(document) == text


def stream(*events: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


def test_the_text_of_a_stream() -> None:
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in ("he", "llo", None)]
    assert read_stream(stream(*chunks, {"choices": []}, {"usage": {}})) == ("hello", None)
    texts = [{"choices": [{"text": piece}]} for piece in ("once", " upon")]
    assert read_stream(stream(*texts)) == ("once upon", None)
    typed = [{"type": "response.created"}, {"type": "response.output_text.delta", "delta": "hi"}]
    assert read_stream(stream(*typed, end="")) == ("hi", None)


def test_a_stream_that_broke_off() -> None:
    broken = stream({"choices": [{"delta": {"content": "he"}}]}, {"error": {"message": "gone"}}, end="")
    assert read_stream(broken) == ("he", "a stream that broke off: gone")
    text, failure = read_stream(b'data: {"choices": [{"delta": {"content": "he"}}]}\n\ndata: {oops\n')
    assert text == "he"
    assert failure is not None
    assert "no JSON" in failure


def test_what_cannot_be_stored_is_replaced() -> None:
    assert storable("é 😀 fine") == "é 😀 fine"
    assert storable("a\x00b\ud800c") == "a\ufffdb?c"
