"""What requests leave behind: plain integers, added up from each outcome as it passes by."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Protocol

from services.domain.events import Outcome
from services.domain.status import OutcomeStatus

DURATION_BOUNDS_US = tuple(
    int(seconds * 1e6) for seconds in (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
)
"""Upper bounds of the latency histogram's buckets; one more has no bound."""
FIRST_TOKEN_BOUNDS_US = tuple(
    int(seconds * 1e6) for seconds in (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 60)
)
"""The same of the time to the first token."""
MOST_SERIES = 10_000
"""Routes × variants, and those × teams, that are told apart. A gateway that has met more, over the days that
it runs or by a configuration gone wrong, adds the rest up as ``OTHER``."""
OTHER = "(other)"
_STATUSES = max(OutcomeStatus) + 1
_DURATIONS = _STATUSES
_FIRST_TOKENS = _DURATIONS + len(DURATION_BOUNDS_US) + 1
_TALLIES = _FIRST_TOKENS + len(FIRST_TOKEN_BOUNDS_US) + 1


class OutcomeSink(Protocol):
    """Takes outcomes and never makes a request wait."""

    def offer(self, outcome: Outcome) -> None:
        """Take an outcome."""


class VariantCounts:
    """The requests of one variant on one route.

    ``tallies`` holds them by ``OutcomeStatus``, then by duration, then by time to the first token. They lie
    next to each other because with many routes each place in memory is a wait.
    """

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "cost_nanos",
        "duration_us",
        "first_token_us",
        "prompt_tokens",
        "tallies",
    )

    def __init__(self) -> None:
        self.tallies = array("Q", bytes(8 * _TALLIES))
        self.duration_us = 0
        self.first_token_us = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.cost_nanos: dict[str, int] = {}
        """By team."""

    @property
    def by_status(self) -> list[int]:
        """Indexed by ``OutcomeStatus``."""
        return self.tallies[:_DURATIONS].tolist()

    @property
    def by_duration(self) -> list[int]:
        """The latency histogram's buckets."""
        return self.tallies[_DURATIONS:_FIRST_TOKENS].tolist()

    @property
    def by_first_token(self) -> list[int]:
        """The same of the time to the first token."""
        return self.tallies[_FIRST_TOKENS:].tolist()


class Metrics:
    """Counts outcomes on their way to ``sink``. Names are from the configuration, none from a caller."""

    def __init__(self, sink: OutcomeSink) -> None:
        self._sink = sink
        self._series = 0
        self.by_route: dict[str, dict[str, VariantCounts]] = {}
        self.attempts: dict[str, list[int]] = {}
        """By endpoint, indexed by ``OutcomeStatus``."""

    def offer(self, outcome: Outcome) -> None:
        """Count an outcome and pass it on."""
        variants = self.by_route.get(outcome.route_key)
        counts = None if variants is None else variants.get(outcome.variant_key)
        if counts is None:
            counts = self._begin(outcome.route_key, outcome.variant_key)
        tallies = counts.tallies
        tallies[outcome.status] += 1
        tallies[_DURATIONS + bisect_left(DURATION_BOUNDS_US, outcome.latency_us)] += 1
        counts.duration_us += outcome.latency_us
        if outcome.first_token_us is not None:
            tallies[_FIRST_TOKENS + bisect_left(FIRST_TOKEN_BOUNDS_US, outcome.first_token_us)] += 1
            counts.first_token_us += outcome.first_token_us
        if outcome.prompt_tokens is not None:
            counts.prompt_tokens += outcome.prompt_tokens
            counts.cached_tokens += outcome.cached_tokens or 0
        if outcome.completion_tokens is not None:
            counts.completion_tokens += outcome.completion_tokens
        if outcome.cost_nanos is not None:
            self._add_cost(counts.cost_nanos, outcome.team_key, outcome.cost_nanos)
        for attempt in outcome.attempts:
            by_status = self.attempts.get(attempt.endpoint_key)
            if by_status is None:
                by_status = self._begin_attempts(attempt.endpoint_key)
            by_status[attempt.status] += 1
        self._sink.offer(outcome)

    def _begin(self, route_key: str, variant_key: str) -> VariantCounts:
        if not self._has_room():
            route_key = variant_key = OTHER
        return self.by_route.setdefault(route_key, {}).setdefault(variant_key, VariantCounts())

    def _begin_attempts(self, endpoint_key: str) -> list[int]:
        key = endpoint_key if self._has_room() else OTHER
        return self.attempts.setdefault(key, [0] * _STATUSES)

    def _add_cost(self, by_team: dict[str, int], team: str, nanos: int) -> None:
        if team not in by_team and not self._has_room():
            team = OTHER
        by_team[team] = by_team.get(team, 0) + nanos

    def _has_room(self) -> bool:
        if self._series >= MOST_SERIES:
            return False
        self._series += 1
        return True
