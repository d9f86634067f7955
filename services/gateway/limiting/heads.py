"""Lines of an answer's head about limits: ours, as OpenAI spells them, and none of the provider's own."""

from __future__ import annotations

import re
from math import ceil

from services.domain.sliding_window import WINDOW_SECONDS


def without_limits(lines: bytes) -> bytes:
    """Return a provider's lines without those about its own limits."""
    return _limit_lines(b"", lines) if b"x-ratelimit-" in lines else lines


def lines_of(kind: str, limit: int, left: int, reset: bytes) -> bytes:
    """Return the three lines about requests or tokens."""
    of = kind.encode()
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n" % (
        of,
        limit,
        of,
        left,
        of,
        reset,
    )


def duration(seconds: float) -> bytes:
    """Return a duration as OpenAI spells it: ``120ms``, ``1.5s``, ``6m0s``, ``1h2m3s``; never too short."""
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:
        return b"%dms" % milliseconds
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:g}s".encode()
    whole = ceil(milliseconds / 1000)
    hours, minutes = whole // 3600, whole // 60 % 60
    text = f"{minutes}m{whole % 60}s"
    return (f"{hours}h{text}" if hours else text).encode()


_limit_lines = re.compile(rb"^x-ratelimit-[^\r\n]*\r\n", re.MULTILINE).sub
WHOLE_WINDOW = duration(WINDOW_SECONDS)
