"""What requests leave behind, added up from each outcome as it passes by."""

from __future__ import annotations

from typing import Protocol

from services.domain.events import Outcome
from services.gateway.variant_counts import STATUSES, TeamCost, VariantCounts

MOST_SERIES = 10_000
"""Routes × variants, and those × teams, that are told apart. A gateway that has met more, over the days that
it runs or by a configuration gone wrong, adds the rest up as ``OTHER``."""
OTHER = "(other)"


class OutcomeSink(Protocol):
    """Takes outcomes and never makes a request wait."""

    def offer(self, outcome: Outcome) -> None:
        """Take an outcome."""


class Metrics:
    """Counts outcomes on their way to ``sink``. Names are from the configuration, none from a caller."""

    def __init__(self, sink: OutcomeSink) -> None:
        self._sink = sink
        self._series = 0
        self.by_route: dict[str, dict[str, VariantCounts]] = {}
        self.attempts: dict[str, list[int]] = {}
        """By endpoint, indexed by ``OutcomeStatus``."""

    def counts_of(self, route_key: str, variant_key: str) -> VariantCounts:
        """Return where the requests of a route's variant are counted."""
        variants = self.by_route.get(route_key)
        counts = None if variants is None else variants.get(variant_key)
        return counts or self._begin(route_key, variant_key)

    def offer(self, outcome: Outcome, counts: VariantCounts) -> None:
        """Count an outcome among its variant's, and pass it on."""
        counts.add(outcome)
        if outcome.cost_nanos is not None:
            cost = counts.last_cost
            if cost is None or cost.team != outcome.team_key:
                cost = counts.last_cost = self._cost_of(outcome.team_key, counts.costs)
            cost.nanos += outcome.cost_nanos
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
        return self.attempts.setdefault(key, [0] * STATUSES)

    def _cost_of(self, team: str, by_team: dict[str, TeamCost]) -> TeamCost:
        if team not in by_team and not self._has_room():
            team = OTHER
        return by_team.setdefault(team, TeamCost(team))

    def _has_room(self) -> bool:
        if self._series >= MOST_SERIES:
            return False
        self._series += 1
        return True
