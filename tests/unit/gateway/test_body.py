"""What is read of request bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from services.gateway.body import open_body
from services.gateway.rejections import InvalidRequest
from services.gateway.surfaces import CHAT, EMBEDDINGS, RESPONSES, Call
from tests.unit.gateway.shapes import spellings

TO_CHAT = Call(CHAT)


@given(spellings())
def test_what_routing_reads_is_what_a_parser_reads(document: bytes) -> None:
    body, parsed = open_body(document, TO_CHAT), json.loads(document)
    assert body.model == parsed["model"]
    assert body.text("user") == parsed.get("user")
    assert body.streams is (parsed.get("stream") is True)
    assert body.document is document


@pytest.mark.parametrize("document", ['{"model":"a","model":"b"}', '{"mod\\u0065l":"a", "model":"b"}'])
def test_the_last_of_equal_names_counts_as_it_does_to_parsers(document: str) -> None:
    assert open_body(document.encode(), TO_CHAT).model == json.loads(document)["model"] == "b"


@pytest.mark.parametrize(
    ("stream", "streams"), [("true", True), ("false", False), ("null", False), ('"true"', False)]
)
def test_whether_it_streams(stream: str, streams: bool) -> None:
    document = f'{{"model": "r", "stream": {stream} }}'.encode()
    assert open_body(document, TO_CHAT).streams is streams
    assert not open_body(document, Call(EMBEDDINGS)).streams


@pytest.mark.parametrize(
    ("options", "lacks"),
    [
        ({}, True),
        ({"stream_options": None}, True),
        ({"stream_options": {}}, True),
        ({"stream_options": {"include_usage": False}}, True),
        ({"stream_options": {"include_usage": None}}, True),
        ({"stream_options": {"include_usage": True}}, False),
        ({"stream_options": {"include_usage": 1}}, False),
        ({"stream_options": "no options at all"}, False),
        ({"stream": False}, False),
    ],
)
def test_whether_usage_has_to_be_asked_for(options: dict[str, Any], lacks: bool) -> None:
    document = json.dumps({"model": "r", "stream": True} | options).encode()
    assert open_body(document, TO_CHAT).lacks_usage is lacks
    assert not open_body(document, Call(RESPONSES)).lacks_usage


def test_the_deployment_in_the_path_is_what_is_asked_for() -> None:
    assert open_body(b'{"model": "other"}', Call(CHAT, "mine")).model == "mine"
    body = open_body(b"{}", Call(CHAT, "mine"))
    assert (body.model, body.named_model) == ("mine", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"model"',
        b"{}",
        b'{"model": 3}',
        b'{"model": ""}',
        b'{"model": null}',
        b"\xff\xfe",
        b'{"model":"r",}',
        b'{"model":"r"} {}',
        b'{"model":"r","n":NaN}',
    ],
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        open_body(body, TO_CHAT)


def test_a_field_that_is_no_text_is_no_text() -> None:
    body = open_body(b'{"model": "r", "user": {"id": 1}, "safety_identifier": "\xff"}', TO_CHAT)
    assert body.text("user") is None
    assert body.text("safety_identifier") is None
    assert body.text("missing") is None
