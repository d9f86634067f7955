"""What is read out of answers, however a stream is cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.answers import Reading, StreamReading


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


STREAM = b"".join(
    [
        event(
            {
                "choices": [{"delta": {"content": 'say "usage": {"error"'}, "finish_reason": None}],
                "usage": None,
            }
        ),
        event({"choices": [{"delta": {"content": "é"}, "finish_reason": "stop"}]}),
        event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}),
        b"data: [DONE]\n\n",
    ]
)


def read_stream(chunks: list[bytes]) -> StreamReading:
    reading = StreamReading()
    for chunk in chunks:
        reading.feed(chunk)
    return reading


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_a_stream_says_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    reading = read_stream([STREAM[a:b] for a, b in itertools.pairwise(places)])
    assert (reading.prompt_tokens, reading.completion_tokens) == (11, 7)
    assert not reading.error
    assert not reading.content_filtered


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_filtered_stream(newline: bytes) -> None:
    stream = event({"choices": [{"delta": {}, "finish_reason": "content_filter"}]}).replace(b"\n", newline)
    assert read_stream([stream]).content_filtered


def test_results_of_a_filter_that_let_it_pass_are_no_refusal() -> None:
    passed = {"content_filter_results": {"hate": {"filtered": False}}, "finish_reason": "stop"}
    assert not read_stream([event({"choices": [passed]})]).content_filtered


def test_an_error_inside_a_stream() -> None:
    assert read_stream([event({"error": {"message": "overloaded", "code": 500}})]).error
    assert read_stream([event({"error": "overloaded"})]).error


def test_a_line_without_end_is_not_kept() -> None:
    reading = read_stream([b"x" * 600_000] * 4)
    assert len(reading._rest) <= 1024 * 1024


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b'{"usage": 3}', b'{"choices": {}}', b"null", b"\xff"]
)
def test_what_is_not_understood_says_nothing(document: bytes) -> None:
    reading = Reading()
    reading.read(document)
    assert reading.prompt_tokens is None
    assert not reading.content_filtered


def test_a_refused_prompt() -> None:
    reading = Reading()
    reading.read(b'{"error": {"code": "content_filter", "message": "no"}}')
    assert reading.content_filtered
