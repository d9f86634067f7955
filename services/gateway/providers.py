"""How each kind of endpoint wants to be asked, and what of its answer goes on to the caller."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from services.domain.configuration import EndpointAuth, EndpointConfig, EndpointKind
from services.gateway.body import RequestBody
from services.gateway.overrides import Overrides
from services.gateway.surfaces import Surface
from services.gateway.upstream import Ask, UpstreamRequest

_PASSED_ON = frozenset(
    {b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry", b"openai-processing-ms"}
)
_RATE_LIMITS = b"x-ratelimit-"
_UPSTREAM_REQUEST_ID = b"x-headgate-upstream-request-id"


def upstream_request(
    endpoint: EndpointConfig,
    secret: str | None,
    body: RequestBody,
    overrides: Overrides,
    lines: bytes = b"",
) -> UpstreamRequest:
    """Return the request to one endpoint. Of the caller's headers nothing goes along; ``lines`` are ours."""
    model = overrides.model_at(endpoint, body)
    return UpstreamRequest(
        _ask(
            endpoint.endpoint_kind,
            endpoint.auth,
            endpoint.base_url,
            endpoint.api_version,
            secret,
            body.surface,
            body.streams,
            model,
        ),
        overrides.apply(body, model, asks_for_usage=hides_usage(endpoint, body)),
        endpoint.connect_timeout_seconds,
        endpoint.total_timeout_seconds,
        endpoint.first_byte_timeout_seconds,
        lines=lines,
    )


@lru_cache(maxsize=1024)
def _ask(
    kind: EndpointKind,
    auth: EndpointAuth,
    base_url: str,
    api_version: str | None,
    secret: str | None,
    surface: Surface,
    streams: bool,
    model: str,
) -> Ask:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if streams else "application/json",
        "accept-encoding": "identity",
        "user-agent": "headgate",
        **_credentials(kind, auth, secret),
    }
    if kind == "openai":
        return Ask(f"{base_url.rstrip('/')}/{surface.path}", headers)
    return Ask(_azure_url(base_url, api_version, surface, model), headers)


def credentials(endpoint: EndpointConfig, secret: str | None) -> dict[str, str]:
    """Return the headers by which an endpoint knows us."""
    return _credentials(endpoint.endpoint_kind, endpoint.auth, secret)


def _credentials(kind: EndpointKind, auth: EndpointAuth, secret: str | None) -> dict[str, str]:
    if secret is None:
        return {}
    bearer = kind == "openai" if auth == "default" else auth == "bearer"
    return {"authorization": f"Bearer {secret}"} if bearer else {"api-key": secret}


def hides_usage(endpoint: EndpointConfig, body: RequestBody) -> bool:
    """Say whether a stream is asked for its usage on our account, so that its caller must not see it."""
    return endpoint.stream_usage and body.lacks_usage


def _azure_url(base_url: str, api_version: str | None, surface: Surface, model: str) -> str:
    root = f"{base_url.rstrip('/')}/openai"
    if api_version in (None, "v1"):
        return f"{root}/v1/{surface.path}"
    query = f"?api-version={quote(api_version or '', safe='')}"
    if api_version == "preview":
        return f"{root}/v1/{surface.path}{query}"
    if surface.under_deployments:
        return f"{root}/deployments/{quote(model, safe='')}/{surface.path}{query}"
    return f"{root}/{surface.path}{query}"


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a provider's answer that its caller can use."""
    return [(name, value) for given, value in headers if (name := _passed_on_as(given)) is not None]


@lru_cache(maxsize=1024)
def _passed_on_as(given: bytes) -> bytes | None:
    """Return the name under which a header goes on, None where it does not. Providers send the same ones."""
    name = given.lower()
    if name == b"x-request-id":
        return _UPSTREAM_REQUEST_ID
    return name if name in _PASSED_ON or name.startswith(_RATE_LIMITS) else None


def is_event_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether an answer comes as server-sent events."""
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in headers
    )
