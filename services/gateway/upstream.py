"""What the gateway needs of an HTTP client, and nothing else: the transport behind it can be replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from services.domain.status import OutcomeStatus


class UpstreamFailed(Exception):
    """There was no answer, or it broke off. ``status`` is what that counts as, were it the end."""

    def __init__(self, status: OutcomeStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request to a provider."""

    url: str
    headers: dict[str, str]
    body: bytes
    connect_timeout_seconds: float
    total_timeout_seconds: float
    first_byte_timeout_seconds: float | None = None
    """From asking to the first byte of the answer's body, or to its end."""
    idle_timeout_seconds: float | None = None
    """The longest silence between two pieces of the body."""
    method: str = "POST"


class UpstreamAnswer(Protocol):
    """An answer whose head has arrived. Either its end is reached or ``close`` is called."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values as they came."""

    async def next_chunk(self) -> bytes:
        """Return what has arrived, waiting for some; empty at the end. Raises UpstreamFailed."""

    def close(self) -> None:
        """Give the answer up: whatever of it has not come is not wanted."""


class Upstream(Protocol):
    """A pooled HTTP client."""

    async def open(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send the request and return when the answer's head is there. Raises UpstreamFailed."""

    async def close(self) -> None:
        """Close the pool."""
