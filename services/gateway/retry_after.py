"""When a provider wants to be asked again: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date."""

from __future__ import annotations

import math
from collections.abc import Iterable
from email.utils import parsedate_to_datetime


def retry_after_seconds(headers: Iterable[tuple[bytes, bytes]], now: float) -> float:
    """Return the seconds from ``now`` (wall time), 0 where nothing is asked for. Names are in lower case."""
    found = {
        name: value.decode("latin-1").strip() for name, value in headers if name.startswith(b"retry-after")
    }
    if (milliseconds := _number(found.get(b"retry-after-ms"))) is not None:
        return milliseconds / 1000.0
    given = found.get(b"retry-after")
    seconds = _number(given)
    if seconds is None:
        seconds = _until(given, now)
    return seconds


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _until(text: str | None, now: float) -> float:
    try:
        return max(0.0, parsedate_to_datetime(text or "").timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
