"""The figures of one variant on one route: plain integers.

With many routes each place in memory is a wait, so there are few: all tallies in one array, and the cost of
the team that asked last at hand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

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
STATUSES = max(OutcomeStatus) + 1
_DURATIONS = STATUSES
_FIRST_TOKENS = _DURATIONS + len(DURATION_BOUNDS_US) + 1
_TALLIES = _FIRST_TOKENS + len(FIRST_TOKEN_BOUNDS_US) + 1


class TeamCost:
    """What the requests of one team cost, in nano-dollars."""

    __slots__ = ("nanos", "team")

    def __init__(self, team: str) -> None:
        self.team = team
        self.nanos = 0


class VariantCounts:
    """The requests of one variant on one route.

    ``tallies`` holds them by ``OutcomeStatus``, then by duration, then by time to the first token.
    ``costs`` is by team; ``last_cost`` is one of them, or nobody's.
    """

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "costs",
        "duration_us",
        "first_token_us",
        "last_cost",
        "prompt_tokens",
        "tallies",
    )

    def __init__(self) -> None:
        self.tallies = array("Q", bytes(8 * _TALLIES))
        self.duration_us = 0
        self.first_token_us = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.costs: dict[str, TeamCost] = {}
        self.last_cost: TeamCost | None = None

    def add(self, outcome: Outcome) -> None:
        """Count a request, apart from what it cost."""
        tallies = self.tallies
        tallies[outcome.status] += 1
        tallies[_DURATIONS + bisect_left(DURATION_BOUNDS_US, outcome.latency_us)] += 1
        self.duration_us += outcome.latency_us
        if outcome.first_token_us is not None:
            tallies[_FIRST_TOKENS + bisect_left(FIRST_TOKEN_BOUNDS_US, outcome.first_token_us)] += 1
            self.first_token_us += outcome.first_token_us
        if outcome.prompt_tokens is not None:
            self.prompt_tokens += outcome.prompt_tokens
            self.cached_tokens += outcome.cached_tokens or 0
        if outcome.completion_tokens is not None:
            self.completion_tokens += outcome.completion_tokens

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

    @property
    def cost_nanos(self) -> dict[str, int]:
        """By team. Safe in another thread than the one that counts."""
        return {team: cost.nanos for team, cost in list(self.costs.items())}
