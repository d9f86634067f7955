"""Every bound of the transport, with its value."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider may use of this process. Bodies are bounded by whoever reads them."""

    head_bytes: int = 64 * KIB
    """Of an answer's head, informational ones included, and of framing between two bytes of a body."""
    head_fields: int = 256
    unread_bytes: int = 256 * KIB
    """Once so much waits for its reader, the socket is not read until it has been taken."""

    idle_seconds: float = 20.0
    """Shorter than the 60–75 s after which servers and load balancers usually hang up."""
    idle_connections: int = 1024
    """Per origin."""
    age_seconds: float = 600.0
    """A connection this old is not used again, so that changes of DNS are followed."""

    race_seconds: float = 1.0
    """A reused connection that is lost this soon after a request, without a byte, was being closed before."""
    addresses_seconds: float = 30.0
    """How long a host name's addresses are remembered."""
    stagger_seconds: float = 0.25
    """How long the next address waits for the one before (RFC 8305)."""
