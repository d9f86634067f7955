"""Request bodies: what is read, what is replaced, and that everything else stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import VariantConfig
from services.gateway.body import Overrides, read_chat_body
from services.gateway.rejections import InvalidRequest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.text().filter(lambda name: name != "model")


def overrides(**changes: Any) -> Overrides:
    return Overrides(VariantConfig(key="v", endpoint_keys=("e",), **changes))


def applied(body: bytes, endpoint_model: str | None = None, **changes: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(overrides(**changes).apply(read_chat_body(body), endpoint_model))
    return result


@given(st.dictionaries(names, json_values, max_size=6), st.booleans(), st.sampled_from([None, 2]))
def test_only_the_model_changes(fields: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    body = json.dumps({"model": "route"} | fields, ensure_ascii=ascii_only, indent=indent)
    sent = applied(body.encode("utf-8", "surrogatepass"), endpoint_model="provider-model")
    assert sent == {"model": "provider-model"} | fields


@pytest.mark.parametrize(
    "value",
    [
        '{"b" : 1.00,  "a":1e3}',
        '"\\u00e9é\\/"',
        "12345678901234567890123",
        "[ 1,\n2 ]",
        '{"x":1,"x":2}',
        "-0.0",
    ],
)
def test_values_keep_their_bytes(value: str) -> None:
    sent = overrides(model="m").apply(read_chat_body(f'{{"model": "r", "k": {value}}}'.encode()), None)
    assert sent == f'{{"model":"m","k":{value}}}'.encode()


def test_parameters_of_the_variant_win_and_the_model_of_the_endpoint_wins_over_both() -> None:
    body = b'{"model": "r", "temperature": 1, "top_p": 0.5}'
    sent = applied(body, "deployment", model="m", parameters={"temperature": 0.2, "seed": 1})
    assert sent == {"model": "deployment", "temperature": 0.2, "top_p": 0.5, "seed": 1}


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ("[]", [{"role": "system", "content": "Be brief."}]),
        ("[ ]", [{"role": "system", "content": "Be brief."}]),
        ('[ {"role":"user"}]', [{"role": "system", "content": "Be brief."}, {"role": "user"}]),
        ('"not a list"', "not a list"),
    ],
)
def test_the_system_prompt_becomes_the_first_message(messages: str, sent: object) -> None:
    body = f'{{"model": "r", "messages": {messages}}}'.encode()
    assert applied(body, system_prompt="Be brief.")["messages"] == sent


@pytest.mark.parametrize(
    ("stream", "streams"), [("true", True), ("false", False), ("null", False), ('"true"', False)]
)
def test_whether_it_streams(stream: str, streams: bool) -> None:
    assert read_chat_body(f'{{"model": "r", "stream": {stream} }}'.encode()).streams is streams


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"model"', b"{}", b'{"model": 3}', b'{"model": ""}', b'{"model": null}', b"\xff\xfe"],
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_chat_body(body)


def test_a_field_that_is_no_text_is_no_text() -> None:
    body = read_chat_body(b'{"model": "r", "user": {"id": 1}, "safety_identifier": "\xff"}')
    assert body.text("user") is None
    assert body.text("safety_identifier") is None
    assert body.text("missing") is None
