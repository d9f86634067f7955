"""Limits, durations and moments as people type them: ``requests_per_minute=600``, ``90d``, ``never``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

NEVER = "never"
NONE = "none"
LIMITS = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrency",
    "tokens_per_day",
    "dollars_per_day",
)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])")


class LimitParam(click.ParamType):
    """A limit with its number: ``requests_per_minute=600``; ``requests_per_minute=none`` is no limit."""

    name = "limit=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the limit's name and number, or None for ``none``."""
        if isinstance(value, tuple):
            return value
        name, _, digits = str(value).partition("=")
        if name not in LIMITS:
            self.fail(f"{value!r} must be like requests_per_minute=600; there are {', '.join(LIMITS)}", param)
        if digits == NONE:
            return name, None
        try:
            return name, float(digits) if name == "dollars_per_day" else int(digits)
        except ValueError:
            self.fail(f"{value!r} must end in a number, such as {name}=600, or in =none", param, ctx)


class Duration(click.ParamType):
    """A time span: ``0``, ``45s``, ``30m``, ``12h``, ``90d``. The value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        seconds = value if isinstance(value, int) else _seconds(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no time span; say 30m, 12h or 90d", param, ctx)
        return seconds


class Expiry(click.ParamType):
    """When something expires: after a time span, at a time, or ``never``."""

    name = "expiry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the time as the api takes it; ``never`` stays."""
        text = str(value)
        seconds = _seconds(text)
        if seconds is not None:
            return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
        if text != NEVER and not _is_moment(text):
            self.fail(f"{text!r} is none of 90d (or s, m, h), 2027-01-31T12:00:00Z, and never", param, ctx)
        return text


def _seconds(text: str) -> int | None:
    if text == "0":
        return 0
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


def _is_moment(text: str) -> bool:
    """Return whether a text is a time with its time zone."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
