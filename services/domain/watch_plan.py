"""The watch after a promotion: the old variant keeps a small share for a while, to be compared with.

While it lasts the new variant is taken back by the same guardrails that would have stopped it on its way up.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.assignment import BASIS_POINTS
from services.domain.errors import InvalidDefinition

MOST_HELD_BACK = 0.5
LONGEST_WATCH_MINUTES = 30 * 24 * 60


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """How a promoted variant is watched. Without a holdback there is nothing to compare it with: no watch."""

    holdback_share: float = 0.05
    watch_minutes: int = 30

    @property
    def promoted_share_bp(self) -> int | None:
        """The promoted variant's share during the watch, in basis points; None where there is no watch."""
        held_back = round(self.holdback_share * BASIS_POINTS)
        return BASIS_POINTS - held_back if held_back else None


DEFAULT_WATCH = WatchPlan()
"""What a new definition gets that says nothing else."""
NO_WATCH = WatchPlan(holdback_share=0.0)


def check_watch(watch: WatchPlan, *, prefix: str = "") -> None:
    """Raise InvalidDefinition where there can be no such watch; ``prefix`` is of the fields' names."""
    held_back = watch.holdback_share * BASIS_POINTS
    if not 0 <= watch.holdback_share <= MOST_HELD_BACK or abs(round(held_back) - held_back) > 1e-6:
        raise InvalidDefinition(
            f"{prefix}holdback_share",
            f"is {watch.holdback_share:g}; it must be from 0 (no watch) to {MOST_HELD_BACK:g}, "
            "exact to 0.0001",
        )
    if not 1 <= watch.watch_minutes <= LONGEST_WATCH_MINUTES:
        raise InvalidDefinition(
            f"{prefix}watch_minutes",
            f"is {watch.watch_minutes}; it must be from 1 to {LONGEST_WATCH_MINUTES:,}",
        )
