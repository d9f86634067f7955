"""How endpoints are asked, and what of their answers goes on."""

from __future__ import annotations

from typing import Any

from services.domain.configuration import EndpointConfig
from services.gateway.providers import is_event_stream, passed_on, upstream_request


def endpoint(**changes: Any) -> EndpointConfig:
    values: dict[str, Any] = {"endpoint_kind": "openai", "base_url": "https://api.example.com/v1/"} | changes
    return EndpointConfig(version=(1, 1), key="e", **values)


def test_openai() -> None:
    request = upstream_request(endpoint(), "sk-1", "gpt", b"{}", streams=False)
    assert request.url == "https://api.example.com/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert "api-key" not in request.headers


def test_azure_openai() -> None:
    azure = endpoint(
        endpoint_kind="azure_openai", base_url="https://x.openai.azure.com", api_version="2024-06-01"
    )
    request = upstream_request(azure, "key-1", "my gpt/4", b"{}", streams=True)
    assert request.url == (
        "https://x.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-06-01"
    )
    assert request.headers["api-key"] == "key-1"
    assert "authorization" not in request.headers


def test_an_endpoint_without_a_secret_is_asked_without_one() -> None:
    headers = upstream_request(endpoint(), None, "m", b"{}", streams=False).headers
    assert "authorization" not in headers


def test_headers_that_callers_can_use_are_passed_on() -> None:
    given = [
        (b"Content-Type", b"application/json"),
        (b"X-Request-Id", b"req_1"),
        (b"X-RateLimit-Remaining-Tokens", b"5"),
        (b"Retry-After", b"1"),
        (b"Set-Cookie", b"a=b"),
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"chunked"),
    ]
    assert passed_on(given) == [
        (b"content-type", b"application/json"),
        (b"x-headgate-upstream-request-id", b"req_1"),
        (b"x-ratelimit-remaining-tokens", b"5"),
        (b"retry-after", b"1"),
    ]


def test_event_streams_are_recognised() -> None:
    assert is_event_stream([(b"Content-Type", b"text/event-stream; charset=utf-8")])
    assert not is_event_stream([(b"Content-Type", b"application/json")])
    assert not is_event_stream([])
