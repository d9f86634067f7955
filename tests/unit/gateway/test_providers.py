"""How endpoints are asked, and what of their answers goes on."""

from __future__ import annotations

from typing import Any

import pytest

from services.domain.configuration import EndpointConfig, VariantConfig
from services.gateway.body import open_body
from services.gateway.overrides import Overrides
from services.gateway.providers import is_event_stream, passed_on, upstream_request
from services.gateway.surfaces import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Call, Surface
from services.gateway.upstream import UpstreamRequest

AZURE = {"endpoint_kind": "azure_openai", "base_url": "https://x.openai.azure.com/"}
OVERRIDES = Overrides(VariantConfig(key="v", endpoint_keys=("e",), model="my gpt/4"))


def asked(
    secret: str | None = None, surface: Surface = CHAT, body: bytes = b'{"model":"r"}', **changes: Any
) -> UpstreamRequest:
    values: dict[str, Any] = {"endpoint_kind": "openai", "base_url": "https://api.example.com/v1/"} | changes
    endpoint = EndpointConfig(version=(1, 1), key="e", **values)
    return upstream_request(endpoint, secret, open_body(body, Call(surface)), OVERRIDES)


@pytest.mark.parametrize("surface", [CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS])
def test_where_openai_is_asked(surface: Surface) -> None:
    assert asked(surface=surface).ask.url == f"https://api.example.com/v1/{surface.path}"


@pytest.mark.parametrize(
    ("api_version", "surface", "path"),
    [
        (None, CHAT, "v1/chat/completions"),
        ("v1", RESPONSES, "v1/responses"),
        ("preview", EMBEDDINGS, "v1/embeddings?api-version=preview"),
        ("2024-10-21", CHAT, "deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"),
        ("2024-10-21", COMPLETIONS, "deployments/my%20gpt%2F4/completions?api-version=2024-10-21"),
        ("2024-10-21", EMBEDDINGS, "deployments/my%20gpt%2F4/embeddings?api-version=2024-10-21"),
        ("2025-04-01-preview", RESPONSES, "responses?api-version=2025-04-01-preview"),
        ("a&b=c", RESPONSES, "responses?api-version=a%26b%3Dc"),
    ],
)
def test_where_azure_is_asked(api_version: str | None, surface: Surface, path: str) -> None:
    url = asked(surface=surface, api_version=api_version, **AZURE).ask.url
    assert url == f"https://x.openai.azure.com/openai/{path}"


@pytest.mark.parametrize(
    ("changes", "header", "value"),
    [
        ({}, "authorization", "Bearer s"),
        ({"auth": "api_key"}, "api-key", "s"),
        (AZURE, "api-key", "s"),
        (AZURE | {"auth": "api_key"}, "api-key", "s"),
        (AZURE | {"auth": "bearer"}, "authorization", "Bearer s"),
    ],
)
def test_how_the_secret_is_sent(changes: dict[str, Any], header: str, value: str) -> None:
    headers = asked("s", **changes).ask.headers
    assert {name: headers[name] for name in ("authorization", "api-key") if name in headers} == {
        header: value
    }


def test_an_endpoint_without_a_secret_is_asked_without_one() -> None:
    assert not {"authorization", "api-key"} & asked().ask.headers.keys()


STREAM = b'{"model":"r","stream":true}'


def test_streams_are_asked_for_their_usage_where_it_has_to_be_asked_for() -> None:
    sent = b'{"model":"my gpt/4","stream":true,"stream_options":{"include_usage":true}}'
    assert asked(body=STREAM).body == asked(body=STREAM, surface=COMPLETIONS).body == sent
    assert b"stream_options" not in asked(body=STREAM, surface=RESPONSES).body
    assert b"stream_options" not in asked(body=STREAM, stream_usage=False).body


def test_headers_that_callers_can_use_are_passed_on() -> None:
    given = [
        (b"Content-Type", b"application/json"),
        (b"X-Request-Id", b"req_1"),
        (b"X-RateLimit-Remaining-Tokens", b"5"),
        (b"Retry-After", b"1"),
        (b"X-Should-Retry", b"false"),
        (b"Set-Cookie", b"a=b"),
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"chunked"),
    ]
    assert passed_on(given) == [
        (b"content-type", b"application/json"),
        (b"x-headgate-upstream-request-id", b"req_1"),
        (b"x-ratelimit-remaining-tokens", b"5"),
        (b"retry-after", b"1"),
        (b"x-should-retry", b"false"),
    ]


def test_event_streams_are_recognised() -> None:
    assert is_event_stream([(b"Content-Type", b"text/event-stream; charset=utf-8")])
    assert not is_event_stream([(b"Content-Type", b"application/json")])
    assert not is_event_stream([])
