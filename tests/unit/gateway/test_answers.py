"""What is read out of answers."""

from __future__ import annotations

import json

import pytest

from services.domain.events import LARGEST_TOKENS
from services.domain.status import OutcomeStatus as S
from services.gateway.answers import Reading


def read(document: object, http_status: int = 200) -> tuple[S, int | None, int | None]:
    reading = Reading()
    assert reading.read_whole(json.dumps(document).encode())
    return reading.status(http_status), reading.prompt_tokens, reading.completion_tokens


def test_tokens_of_every_surface() -> None:
    chat = {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
    response = {"usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}
    embeddings = {"usage": {"prompt_tokens": 3, "total_tokens": 3}}
    assert read(chat) == read(response) == (S.OK, 3, 4)
    assert read(embeddings) == (S.OK, 3, None)


def usage(document: object) -> tuple[int | None, int | None, int | None]:
    reading = Reading()
    assert reading.read_whole(json.dumps(document).encode())
    return reading.prompt_tokens, reading.cached_tokens, reading.completion_tokens


def test_cached_tokens_of_both_surfaces() -> None:
    chat = {
        "prompt_tokens": 300,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 256, "audio_tokens": 0},
    }
    response = {"input_tokens": 300, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 256}}
    assert usage({"usage": chat}) == usage({"usage": response}) == (300, 256, 4)
    assert usage({"type": "response.completed", "response": {"usage": response}}) == (300, 256, 4)
    assert usage({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}) == (3, None, 4)


@pytest.mark.parametrize(
    ("details", "cached"),
    [
        ({"cached_tokens": 11}, 10),
        ({"cached_tokens": -1}, 0),
        ({"cached_tokens": None}, None),
        ({"cached_tokens": "7"}, None),
        ({"cached_tokens": 2.5}, None),
        ([7], None),
        (7, None),
        (None, None),
    ],
)
def test_wrong_details_take_nothing_from_the_rest(details: object, cached: int | None) -> None:
    counted = {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": details}
    assert usage({"usage": counted}) == (10, cached, 4)


def test_impossible_numbers_become_the_nearest_possible_ones() -> None:
    """What is negative would be refused where it is counted, and what is huge could overflow sums."""
    counted = {
        "prompt_tokens": -5,
        "completion_tokens": 10**30,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    assert usage({"usage": counted}) == (0, 0, LARGEST_TOKENS)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"choices": [{"finish_reason": "stop"}, {"finish_reason": "content_filter"}]}, S.CONTENT_FILTERED),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, S.CONTENT_FILTERED),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, S.OK),
        ({"error": {"code": "content_filter", "message": "no"}}, S.CONTENT_FILTERED),
        ({"error": {"code": "server_error", "message": "no"}}, S.PROVIDER_ERROR),
        ({"error": {"code": 502, "message": "no"}}, S.PROVIDER_ERROR),
        ({"error": "overloaded"}, S.PROVIDER_ERROR),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}}, S.CALLER_ERROR),
        ({"error": None, "incomplete_details": None}, S.OK),
    ],
)
def test_how_the_provider_says_it_went(document: object, status: S) -> None:
    assert read(document)[0] is status


def test_a_refused_prompt() -> None:
    refused = {"error": {"code": "content_filter", "message": "no"}}
    assert read(refused, 400)[0] is S.CONTENT_FILTERED
    assert read(refused, 500)[0] is S.PROVIDER_ERROR


@pytest.mark.parametrize("document", [b"[]", b'{"usage": 3}', b'{"choices": {}}', b"null"])
def test_json_of_another_shape_says_nothing(document: bytes) -> None:
    reading = Reading()
    assert reading.read_whole(document)
    assert reading.prompt_tokens is None
    assert reading.status(200) is S.OK


@pytest.mark.parametrize("document", [b"", b"<html>", b'{"usage":', b"\xff"])
def test_what_is_no_json(document: bytes) -> None:
    assert not Reading().read_whole(document)
