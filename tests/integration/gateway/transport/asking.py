"""Asking a server through a transport, and writing down what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.status import OutcomeStatus
from services.gateway.upstream import Ask, Upstream, UpstreamFailed, UpstreamRequest

HEADERS = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "authorization": "Bearer secret",
}


@dataclass(frozen=True)
class Seen:
    """What a caller sees of one request: a status, the bytes that came, and how it failed if it did."""

    status: int = 0
    body: bytes = b""
    failed: OutcomeStatus | None = None


def request_to(url: str, body: bytes = b'{"model": "sim"}', *, seconds: float = 5.0) -> UpstreamRequest:
    """A request with all timeouts alike."""
    return UpstreamRequest(Ask(url, HEADERS), body, seconds, seconds)


async def ask(upstream: Upstream, request: UpstreamRequest) -> Seen:
    """Ask once and read to the end."""
    body = b""
    try:
        answer = await upstream.open(request)
    except UpstreamFailed as failure:
        return Seen(failed=failure.status)
    try:
        while chunk := await answer.next_chunk():
            body += chunk
    except UpstreamFailed as failure:
        answer.close()
        return Seen(answer.status, body, failure.status)
    return Seen(answer.status, body)


async def failure_of(upstream: Upstream, request: UpstreamRequest) -> UpstreamFailed:
    """Ask once, which fails, and return how."""
    try:
        answer = await upstream.open(request)
        while await answer.next_chunk():
            pass
    except UpstreamFailed as failure:
        return failure
    raise AssertionError("it was answered")
