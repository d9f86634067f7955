"""Shadows: a variant that gets copies of a share of the requests and serves nobody.

Its answers are compared to those that callers were given. It can be promoted by nothing but another
experiment: what it did to nobody says nothing about what it would do to somebody.
"""

from __future__ import annotations

import re

import msgspec

from services.domain.assignment import BASIS_POINTS
from services.domain.errors import InvalidDefinition

MAX_TEXT_DAYS = 90
MAX_CONCURRENCY = 1_000
MAX_QUEUE = 10_000
MAX_IGNORED = 50
MINUTES_OF_A_YEAR = 365 * 24 * 60
DOLLAR_NANOS = 1_000_000_000
_TEXT_DAYS = 7

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
"""RFC 6901, but for the empty one, which would leave nothing to compare."""


class ShadowDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shadow as its team defines it. Bounds on what is under way are for each gateway."""

    treatment: str
    sample_share: float = 0.1
    """The fraction of the route's requests that are mirrored."""
    max_concurrency: int = 8
    """The most mirrored requests under way at a time."""
    queue_limit: int = 100
    """How many more may wait; beyond it they are shed."""
    timeout_seconds: float = 60.0
    """From asking the shadow to the end of its answer, retries included."""
    cost_limit_per_hour: float | None = None
    """In dollars; what would exceed it over the last hour is shed."""
    keep_text: bool = False
    """Whether the texts of both answers are stored, for ``text_days``."""
    text_days: int = _TEXT_DAYS
    similarity_threshold: float = 0.9
    """From which similarity on two answers count as similar."""
    ignore_paths: tuple[str, ...] = ()
    """JSON pointers to what may differ where both answers are JSON; ``*`` stands for every item of a list."""
    planned_duration_minutes: int = 24 * 60
    """After so long, counted from the start, gateways mirror nothing more by themselves."""

    @property
    def sample_bp(self) -> int:
        """The share of requests in basis points."""
        return round(self.sample_share * BASIS_POINTS)

    @property
    def cost_limit_nanos(self) -> int | None:
        """The limit in billionths of a dollar."""
        return None if self.cost_limit_per_hour is None else round(self.cost_limit_per_hour * DOLLAR_NANOS)


def check_shadow(definition: ShadowDefinition, *, control: str) -> None:
    """Raise InvalidDefinition for the first rule the definition breaks."""
    if definition.treatment == control:
        raise InvalidDefinition("treatment", f"{control!r} is the route's stable variant; name another one")
    share_bp = definition.sample_share * BASIS_POINTS
    if not 0 < definition.sample_share <= 1 or abs(round(share_bp) - share_bp) > 1e-6:
        raise InvalidDefinition("sample_share", "must be above 0 and at most 1, exact to 0.0001")
    _within("max_concurrency", definition.max_concurrency, 1, MAX_CONCURRENCY)
    _within("queue_limit", definition.queue_limit, 0, MAX_QUEUE)
    _within("timeout_seconds", definition.timeout_seconds, 0.1, 3600)
    if definition.cost_limit_per_hour is not None:
        _within("cost_limit_per_hour", definition.cost_limit_per_hour, 0.000001, 1e6)
    _within("text_days", definition.text_days, 1, MAX_TEXT_DAYS)
    if not definition.keep_text and definition.text_days != _TEXT_DAYS:
        raise InvalidDefinition("text_days", "says how long texts are kept; set keep_text too")
    _within("similarity_threshold", definition.similarity_threshold, 0, 1)
    _within("planned_duration_minutes", definition.planned_duration_minutes, 1, MINUTES_OF_A_YEAR)
    _check_paths(definition.ignore_paths)


def _check_paths(paths: tuple[str, ...]) -> None:
    if len(paths) > MAX_IGNORED:
        raise InvalidDefinition("ignore_paths", f"has more than {MAX_IGNORED}")
    for i, path in enumerate(paths):
        if not _POINTER.fullmatch(path):
            raise InvalidDefinition(f"ignore_paths[{i}]", f"{path!r} is no JSON pointer such as /items/*/id")


def _within(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidDefinition(field, f"is {value:g}; it must be from {low:g} to {high:g}")
