"""What one caller may use of this process."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """Bounds on a connection; its requests' bodies are bounded by ``body_bytes``."""

    body_bytes: int
    head_bytes: int = 64 * KIB
    """Of a request's head, and of framing between two pieces of its body."""
    head_fields: int = 256
    patience_seconds: float = 75.0
    """How long a caller may be silent whose turn it is: to ask, to go on asking, to read an answer."""
