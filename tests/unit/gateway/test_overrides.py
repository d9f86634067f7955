"""What variants and endpoints change in requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from services.domain.configuration import EndpointConfig, VariantConfig
from services.gateway.body import RequestBody, open_body
from services.gateway.overrides import Overrides
from services.gateway.surfaces import CHAT, COMPLETIONS, RESPONSES, Call, Surface
from tests.unit.gateway.shapes import spellings


def overrides(**changes: Any) -> Overrides:
    return Overrides(VariantConfig(key="v", endpoint_keys=("e",), **changes))


def opened(body: str | bytes, surface: Surface = CHAT, deployment: str | None = None) -> RequestBody:
    return open_body(body.encode() if isinstance(body, str) else body, Call(surface, deployment))


def applied(
    body: str | bytes, *, surface: Surface = CHAT, endpoint_model: str | None = None, **changes: Any
) -> dict[str, Any]:
    endpoint = EndpointConfig(
        version=(1, 1), key="e", endpoint_kind="openai", base_url="http://e", model=endpoint_model
    )
    request, made = opened(body, surface), overrides(**changes)
    sent: dict[str, Any] = json.loads(made.apply(request, made.model_at(endpoint, request)))
    return sent


@given(spellings())
def test_only_the_model_changes(document: bytes) -> None:
    sent = applied(document, endpoint_model="provider-model")
    assert sent == json.loads(document) | {"model": "provider-model"}


@given(spellings())
def test_a_model_that_is_called_the_same_changes_nothing(document: bytes) -> None:
    assert overrides(model="support").apply(opened(document), "support") is document


def test_a_deployment_becomes_the_model_that_the_body_lacks() -> None:
    assert overrides().apply(opened("{}", CHAT, "mine"), "mine") == b'{"model":"mine"}'


def test_parameters_of_the_variant_win_and_the_model_of_the_endpoint_wins_over_both() -> None:
    body = '{"model": "r", "temperature": 1, "top_p": 0.5}'
    parameters = {"temperature": 0.2, "seed": 1}
    sent = applied(body, endpoint_model="deployment", model="m", parameters=parameters)
    assert sent == {"model": "deployment", "temperature": 0.2, "top_p": 0.5, "seed": 1}


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ("[]", '[{"role":"system","content":"Be brief."}]'),
        ("[ ]", '[{"role":"system","content":"Be brief."} ]'),
        ('[ {"role":"user"}]', '[{"role":"system","content":"Be brief."}, {"role":"user"}]'),
        ('"not a list"', '"not a list"'),
    ],
)
def test_the_system_prompt_becomes_the_first_message(messages: str, sent: str) -> None:
    body = f'{{"model": "r", "messages": {messages}}}'
    made = overrides(system_prompt="Be brief.").apply(opened(body), "r")
    assert made.decode() == body.replace(messages, sent)


@pytest.mark.parametrize(
    ("given", "instructions"),
    [
        ({}, 'Be "brief".'),
        ({"instructions": None}, 'Be "brief".'),
        ({"instructions": "Be ké\nind."}, 'Be "brief".\n\nBe ké\nind.'),
        ({"instructions": 5}, 5),
    ],
)
def test_the_system_prompt_stands_above_instructions(given: dict[str, Any], instructions: object) -> None:
    body = json.dumps({"model": "r", "input": "hi"} | given)
    sent = applied(body, surface=RESPONSES, system_prompt='Be "brief".')
    assert sent == {"model": "r", "input": "hi", "instructions": instructions}


def test_the_system_prompt_stands_above_the_variants_own_instructions() -> None:
    changes = {"system_prompt": "One.", "parameters": {"instructions": "Two."}}
    sent = applied('{"model":"r","instructions":"Three."}', surface=RESPONSES, **changes)
    assert sent["instructions"] == "One.\n\nTwo."


def test_a_prompt_has_no_place_in_a_text_completion() -> None:
    sent = applied('{"model":"r","prompt":"Once"}', surface=COMPLETIONS, system_prompt="Be brief.")
    assert sent == {"model": "r", "prompt": "Once"}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("null", '{"include_usage":true}'),
        ("{}", '{"include_usage":true}'),
        ('{ "include_obfuscation" : false }', '{ "include_obfuscation" : false,"include_usage":true }'),
        ('{"include_usage":false}', '{"include_usage":true}'),
    ],
)
def test_usage_is_asked_for(options: str, sent: str) -> None:
    body = f'{{"model": "r", "stream_options": {options}, "stream": true}}'
    made = overrides().apply(opened(body), "r", asks_for_usage=True)
    assert made.decode() == body.replace(options, sent)


def test_usage_is_asked_for_where_there_are_no_options() -> None:
    made = overrides().apply(opened('{"model":"r","stream":true}'), "r", asks_for_usage=True)
    assert made == b'{"model":"r","stream":true,"stream_options":{"include_usage":true}}'
