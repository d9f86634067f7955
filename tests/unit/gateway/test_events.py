"""Streams on their way through, however they are cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.events import LONGEST_EVENT_BYTES, StreamReading
from services.gateway.surfaces import CHAT, RESPONSES, Surface


def event(document: object, newline: bytes = b"\n", name: str = "") -> bytes:
    data = b"data: " + json.dumps(document, ensure_ascii=False).encode() + newline * 2
    return b"event: " + name.encode() + newline + data if name else data


AZURES_FIRST = event({"choices": [], "prompt_filter_results": [{"content_filter_results": {}}]})
TEXT = event(
    {"choices": [{"delta": {"content": 'say "usage": {"error"\n\n'}, "finish_reason": None}], "usage": None}
)
FINISH = event({"choices": [{"delta": {"content": "é"}, "finish_reason": "stop"}], "usage": None})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})
DONE = b"data: [DONE]\n\n"
STREAM = AZURES_FIRST + TEXT + b": a comment\n\n" + FINISH + USAGE + DONE


def pass_through(
    stream: bytes, cuts: list[int], *, hides_usage: bool = False, surface: Surface = CHAT
) -> tuple[StreamReading, list[bytes]]:
    reading = StreamReading(surface, hides_usage=hides_usage)
    places = [0, *sorted(cuts), len(stream)]
    passed = [reading.feed(stream[a:b]) for a, b in itertools.pairwise(places) if a < b]
    return reading, [*passed, reading.end()]


def cuts(stream: bytes) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(stream)), max_size=30)


@given(cuts(STREAM), st.booleans())
def test_a_stream_says_the_same_wherever_it_is_cut(places: list[int], hides_usage: bool) -> None:
    reading, passed = pass_through(STREAM, places, hides_usage=hides_usage)
    assert b"".join(passed) == (STREAM.replace(USAGE, b"") if hides_usage else STREAM)
    assert all(part.endswith(b"\n\n") for part in passed if part)
    assert (reading.prompt_tokens, reading.completion_tokens) == (11, 7)
    assert (reading.finished, reading.error, reading.content_filtered) == (True, False, False)


WINDOWS = STREAM.replace(b"\n", b"\r\n")


@given(cuts(WINDOWS))
def test_windows_line_ends(places: list[int]) -> None:
    reading, passed = pass_through(WINDOWS, places, hides_usage=True)
    assert b"".join(passed) == WINDOWS.replace(USAGE.replace(b"\n", b"\r\n"), b"")
    assert reading.completion_tokens == 7


def test_a_whole_event_goes_on_at_once() -> None:
    reading = StreamReading(CHAT, hides_usage=True)
    for whole in (AZURES_FIRST, TEXT, FINISH):
        assert reading.feed(whole) == whole
    assert reading.feed(USAGE[:20]) == b""
    assert reading.feed(USAGE[20:] + DONE) == DONE


def test_the_first_token_is_not_the_first_event() -> None:
    reading = StreamReading(CHAT)
    reading.feed(AZURES_FIRST)
    assert not reading.token_seen
    reading.feed(TEXT)
    assert reading.token_seen


def test_usage_beside_an_answer_is_not_hidden() -> None:
    both = event({"choices": [{"delta": {"content": "x"}}], "usage": {"completion_tokens": 1}})
    assert b"".join(pass_through(both + DONE, [], hides_usage=True)[1]) == both + DONE


def test_a_filtered_stream() -> None:
    stream = event({"choices": [{"delta": {}, "finish_reason": "content_filter"}]})
    assert pass_through(stream, [])[0].content_filtered


def test_results_of_a_filter_that_let_it_pass_are_no_refusal() -> None:
    passed = {"content_filter_results": {"hate": {"filtered": False}}, "finish_reason": "stop"}
    assert not pass_through(event({"choices": [passed]}), [])[0].content_filtered


def test_an_error_inside_a_stream() -> None:
    assert pass_through(event({"error": {"message": "overloaded", "code": 500}}), [])[0].error
    assert pass_through(event({"error": "overloaded"}), [])[0].error


@pytest.mark.parametrize(
    ("stream", "finished"),
    [
        (TEXT, False),
        (TEXT + DONE, True),
        (TEXT + DONE.strip(), True),
        (TEXT + FINISH, True),
        (TEXT + FINISH[:-30], False),
        (TEXT + FINISH.strip(), True),
        (b"", False),
    ],
)
def test_whether_a_stream_came_to_its_end(stream: bytes, finished: bool) -> None:
    reading, passed = pass_through(stream, [])
    assert reading.finished is finished
    assert b"".join(passed) == (stream if finished else TEXT if stream else b"")


RESPONSE = {
    "status": "completed",
    "usage": {"input_tokens": 11, "output_tokens": 7},
    "error": None,
    "incomplete_details": None,
}


def response_stream(last: str, **changes: object) -> bytes:
    return b"".join(
        event({"type": name, "sequence_number": number} | extra, name=name)
        for number, (name, extra) in enumerate(
            [
                ("response.created", {"response": {"status": "in_progress", "usage": None, "error": None}}),
                ("response.output_text.delta", {"delta": '"usage": {'}),
                (last, {"response": RESPONSE | changes}),
            ]
        )
    )


RESPONSES_STREAM = response_stream("response.completed")


@given(cuts(RESPONSES_STREAM))
def test_a_stream_of_a_response(places: list[int]) -> None:
    reading, passed = pass_through(RESPONSES_STREAM, places, surface=RESPONSES)
    assert b"".join(passed) == RESPONSES_STREAM
    assert (reading.prompt_tokens, reading.completion_tokens) == (11, 7)
    assert (reading.finished, reading.error, reading.token_seen) == (True, False, True)


def test_a_response_that_the_filter_cut_off() -> None:
    details = {"reason": "content_filter"}
    stream = response_stream("response.incomplete", status="incomplete", incomplete_details=details)
    reading, _ = pass_through(stream, [], surface=RESPONSES)
    assert (reading.content_filtered, reading.finished) == (True, True)


@pytest.mark.parametrize(
    "stream",
    [
        response_stream("response.failed", status="failed", error={"code": "server_error"}),
        event({"type": "error", "code": "server_error", "message": "no"}, name="error"),
    ],
)
def test_a_response_that_failed(stream: bytes) -> None:
    assert pass_through(stream, [], surface=RESPONSES)[0].error


def test_an_event_without_end_is_not_kept() -> None:
    reading = StreamReading(CHAT)
    passed = sum(len(reading.feed(b"x" * 600_000)) for _ in range(20))
    assert passed + len(reading._rest) == 12_000_000
    assert len(reading._rest) <= LONGEST_EVENT_BYTES
    assert not reading.between_events


def test_what_is_not_understood_goes_on_and_says_nothing() -> None:
    odd = b'data: {"usage": {"prompt_tokens": "many"}}\n\ndata: "error": {\n\n'
    reading, passed = pass_through(odd + DONE, [])
    assert b"".join(passed) == odd + DONE
    assert reading.prompt_tokens is None
