"""How each kind of endpoint wants to be asked, and what of its answer goes on to the caller."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from services.domain.configuration import EndpointConfig
from services.gateway.asgi import Headers
from services.gateway.upstream import UpstreamRequest

AZURE_API_VERSION = "2024-10-21"
"""Asked for where the endpoint names none."""

_PASSED_ON = frozenset({b"content-type", b"retry-after", b"retry-after-ms", b"openai-processing-ms"})
_RATE_LIMITS = b"x-ratelimit-"
_UPSTREAM_REQUEST_ID = b"x-headgate-upstream-request-id"


def upstream_request(
    endpoint: EndpointConfig, secret: str | None, model: str, body: bytes, *, streams: bool
) -> UpstreamRequest:
    """Return the request to one endpoint. Nothing of the caller's headers goes along."""
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if streams else "application/json",
        "accept-encoding": "identity",
        "user-agent": "headgate",
    }
    base_url = endpoint.base_url.rstrip("/")
    if endpoint.endpoint_kind == "azure_openai":
        version = endpoint.api_version or AZURE_API_VERSION
        deployment = quote(model, safe="")
        url = f"{base_url}/openai/deployments/{deployment}/chat/completions?api-version={version}"
        if secret is not None:
            headers["api-key"] = secret
    else:
        url = f"{base_url}/chat/completions"
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
    return UpstreamRequest(
        url, headers, body, endpoint.connect_timeout_seconds, endpoint.total_timeout_seconds
    )


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers of a provider's answer that its caller can use."""
    kept: Headers = []
    for given, value in headers:
        name = given.lower()
        if name in _PASSED_ON or name.startswith(_RATE_LIMITS):
            kept.append((name, value))
        elif name == b"x-request-id":
            kept.append((_UPSTREAM_REQUEST_ID, value))
    return kept


def is_event_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether an answer comes as server-sent events."""
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in headers
    )
