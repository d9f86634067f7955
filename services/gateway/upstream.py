"""What the gateway needs of an HTTP client, and nothing else: the transport behind it can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from services.domain.status import OutcomeStatus


class UpstreamFailed(Exception):
    """There was no answer, or it broke off. ``status`` is what that counts as, were it the end."""

    def __init__(self, status: OutcomeStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Where to ask and how: all of a request but its body and its deadlines.

    Meant to be used for many requests: a transport keeps what it makes of it, by its identity.
    """

    url: str
    headers: Mapping[str, str]
    method: str = "POST"


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One request to a provider."""

    ask: Ask
    body: bytes
    connect_timeout_seconds: float
    total_timeout_seconds: float
    first_byte_timeout_seconds: float | None = None
    """From asking to the first byte of the answer's body, or to its end."""
    idle_timeout_seconds: float | None = None
    """The longest silence between two pieces of the body."""
    lines: bytes = b""
    """Whole lines of the head that are this request's own, from here or from a parser."""


class UpstreamAnswer(Protocol):
    """An answer whose head has arrived. Either its end is reached or ``close`` is called."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values as they came."""

    @property
    def ended(self) -> bool:
        """Whether all of the body has been handed out; False may also mean that it is not known yet."""

    async def next_chunk(self) -> bytes:
        """Return what has arrived, waiting for some; empty at the end. Raises UpstreamFailed."""

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        """Call ``take`` with each piece as it comes; return when it says no, or, with False, at the end.

        Raises UpstreamFailed.
        """

    def close(self) -> None:
        """Give the answer up: whatever of it has not come is not wanted."""


class Upstream(Protocol):
    """A pooled HTTP client."""

    async def open(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send the request and return when the answer's head is there. Raises UpstreamFailed."""

    async def close(self) -> None:
        """Close the pool."""
