"""Estimates of tokens, before and without usage."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.token_estimate import (
    LARGEST_ESTIMATE,
    TOKENS_PER_FILE,
    Streamed,
    completion_tokens,
    prompt_tokens,
)


@given(st.binary(max_size=1000).filter(lambda document: b";base64," not in document))
def test_a_prompt_is_a_quarter_of_its_bytes(document: bytes) -> None:
    assert 4 * prompt_tokens(document) - len(document) in range(4)


@given(before=st.integers(0, 9_000), length=st.integers(3_990, 12_000), after=st.integers(0, 9_000))
def test_a_file_is_found_wherever_it_is(before: int, length: int, after: int) -> None:
    prose, file = b"Whatever flows, flows on. " * 350, b"Ab9+/=_-" * 1_500
    document = prose[:before] + b";base64," + file[:length] + b'"' + prose[:after]
    counted = len(document) - length if length >= 4_000 else len(document)
    assert prompt_tokens(document) == -(-counted // 4) + (TOKENS_PER_FILE if length >= 4_000 else 0)


def test_an_embedded_file_counts_as_one_whatever_its_length() -> None:
    said = b"What is on these two pictures? " * 40
    small = said + b'{"url":"data:image/png;base64,AAAA"},{"url":"data:image/png;base64,BBBB"}'
    large = small.replace(b"AAAA", b"A" * 100_000).replace(b"BBBB", rb"B\/+=" * 800)
    without = small.replace(b"AAAA", b"").replace(b"BBBB", b"")
    assert prompt_tokens(large) - prompt_tokens(without) == 2 * TOKENS_PER_FILE
    # Small enough, it counts for what it is.
    assert prompt_tokens(small) - prompt_tokens(without) == 2


@pytest.mark.parametrize(
    ("cap", "answers", "expected"),
    [(16, 1, 16), (16, 3, 48), (0, 3, 0), (-5, 1, 0), (16, 0, 16), (1 << 62, 9, LARGEST_ESTIMATE)],
)
def test_a_completion_is_the_cap_for_each_answer(cap: int, answers: int, expected: int) -> None:
    assert completion_tokens(cap, answers) == expected


def event(text: str) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def test_a_stream_of_single_tokens_is_as_many_as_there_are_events() -> None:
    streamed = Streamed()
    streamed.take(event(""))
    for _ in range(49):
        streamed.take(event("word"))
    assert 49 <= streamed.tokens <= 51


def test_a_stream_of_large_pieces_is_what_they_say() -> None:
    streamed = Streamed()
    streamed.take(event(""))
    for _ in range(10):
        streamed.take(event("four" * 100))
    assert streamed.tokens == 1_000


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_more_of_a_stream_never_means_fewer_events(pieces: list[bytes]) -> None:
    streamed = Streamed()
    for piece in pieces:
        streamed.take(piece)
        assert streamed.tokens >= 0
