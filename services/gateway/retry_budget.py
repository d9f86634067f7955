"""Retries as a share of traffic: when everything fails, they do not multiply what the endpoints must bear."""

from __future__ import annotations

from services.gateway.window import Window

WINDOW_SECONDS = 10.0


class RetryBudget:
    """Allows retries up to ``share`` of the last ten seconds' requests, or a small rate if that is more."""

    __slots__ = ("_minimum", "_share", "_window", "refused", "spent")

    def __init__(self, share: float, minimum_per_second: float) -> None:
        self._share = share
        self._minimum = minimum_per_second * WINDOW_SECONDS
        self._window = Window(WINDOW_SECONDS)
        self.spent = self.refused = 0

    def request(self, now: float) -> None:
        """A request came."""
        self._window.add(now)

    def spend(self, now: float) -> bool:
        """Take a retry out of the budget; False where none is left."""
        self._window.turn_to(now)
        if self._window.marked + 1 > max(self._share * self._window.total, self._minimum):
            self.refused += 1
            return False
        self._window.mark(now)
        self.spent += 1
        return True


class RetryBudgets:
    """One budget for each variant of each route: what a treatment spends is not missing from its control."""

    def __init__(self, share: float, minimum_per_second: float) -> None:
        self._share = share
        self._minimum_per_second = minimum_per_second
        self.by_route: dict[str, dict[str, RetryBudget]] = {}

    def of(self, route_key: str, variant_key: str) -> RetryBudget:
        """Return the budget of a route's variant."""
        budgets = self.by_route.get(route_key)
        if budgets is None:
            budgets = self.by_route[route_key] = {}
        budget = budgets.get(variant_key)
        if budget is None:
            budget = budgets[variant_key] = RetryBudget(self._share, self._minimum_per_second)
        return budget
