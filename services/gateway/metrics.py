"""What requests leave behind: plain integers, added up from each outcome as it passes by."""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

from services.domain.events import Outcome
from services.domain.status import OutcomeStatus

DURATION_BOUNDS_US = tuple(
    int(seconds * 1e6) for seconds in (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
)
"""Upper bounds of the latency histogram's buckets; one more has no bound."""
_STATUSES = max(OutcomeStatus) + 1


class OutcomeSink(Protocol):
    """Takes outcomes and never makes a request wait."""

    def offer(self, outcome: Outcome) -> None:
        """Take an outcome."""


class VariantCounts:
    """The requests of one variant on one route. ``by_status`` is indexed by ``OutcomeStatus``."""

    __slots__ = ("by_duration", "by_status", "duration_us")

    def __init__(self) -> None:
        self.by_status = [0] * _STATUSES
        self.by_duration = [0] * (len(DURATION_BOUNDS_US) + 1)
        self.duration_us = 0


class Metrics:
    """Counts outcomes on their way to ``sink``. Names are from the configuration, none from a caller."""

    def __init__(self, sink: OutcomeSink) -> None:
        self._sink = sink
        self.by_route: dict[str, dict[str, VariantCounts]] = {}
        self.attempts: dict[str, list[int]] = {}
        """By endpoint, indexed by ``OutcomeStatus``."""

    def offer(self, outcome: Outcome) -> None:
        """Count an outcome and pass it on."""
        variants = self.by_route.get(outcome.route_key)
        counts = None if variants is None else variants.get(outcome.variant_key)
        if counts is None:
            counts = VariantCounts()
            self.by_route.setdefault(outcome.route_key, {})[outcome.variant_key] = counts
        counts.by_status[outcome.status] += 1
        counts.by_duration[bisect_left(DURATION_BOUNDS_US, outcome.latency_us)] += 1
        counts.duration_us += outcome.latency_us
        for attempt in outcome.attempts:
            by_status = self.attempts.get(attempt.endpoint_key)
            if by_status is None:
                by_status = self.attempts[attempt.endpoint_key] = [0] * _STATUSES
            by_status[attempt.status] += 1
        self._sink.offer(outcome)
