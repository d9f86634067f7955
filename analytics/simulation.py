"""When the tests stop on simulated traffic, looked at after every request.

This is how the operating characteristics are measured: false alarms, misses and the requests it takes.
The e-processes are those of `analytics.evidence`, carried forward observation by observation for many
runs at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.betting import log_factors_if_not_worse, log_factors_if_worse
from analytics.eprocess import RESERVE
from analytics.games import NEVER, Game, Outcomes, Stops, play, stops_at
from analytics.traffic import Counting, Flags, Traffic, counted_requests


@dataclass(frozen=True, slots=True)
class RollbackTest:
    """The e-process of `analytics.evidence.rollback_evidence`.

    Attributes:
        alpha: it stops at E ≥ 1/α.
        margin: δ in [0, 1).
        requests_per_tick: requests to both variants in a minute.
        planned_ticks: J, the minutes over which the reserve is spent.
        reserve: the capital kept for late regressions; 0 for a test that is never re-armed.
    """

    alpha: float = 0.05
    margin: float = 0.0
    requests_per_tick: int = 600
    planned_ticks: int = 1440
    reserve: float = RESERVE

    def stops(self, traffic: Traffic, counting: Counting = Counting.EVERY_REQUEST) -> Stops:
        """Where each run is rolled back."""
        shares, share_index = np.unique(traffic.shares, return_inverse=True)
        game = Game(
            factors=np.exp(log_factors_if_worse(shares, self.margin)),
            reserve=self.reserve,
            requests_per_tick=self.requests_per_tick,
            planned_ticks=self.planned_ticks,
            threshold=1.0 / self.alpha,
        )
        return _stops(game, traffic, share_index, counting)


@dataclass(frozen=True, slots=True)
class PromotionTest:
    """The e-process of `analytics.evidence.promotion_evidence`.

    Attributes:
        alpha: it stops at E ≥ 1/α.
        margin: δ in [0, 1).
    """

    alpha: float = 0.05
    margin: float = 0.02

    def stops(self, traffic: Traffic, counting: Counting = Counting.FIRST_REQUEST) -> Stops:
        """Where each run is promoted."""
        shares, share_index = np.unique(traffic.shares, return_inverse=True)
        game = Game(factors=np.exp(log_factors_if_not_worse(shares, self.margin)), threshold=1.0 / self.alpha)
        return _stops(game, traffic, share_index, counting)


@dataclass(frozen=True, slots=True)
class WindowedTest:
    """The rule of `analytics.threshold.windowed_rule`, applied at the end of every tick.

    Attributes:
        margin: the difference of rates that is still accepted.
        minimum_requests: requests that each variant must have in the window.
        window_ticks: the length of the window.
        requests_per_tick: requests to both variants in a minute.
    """

    margin: float = 0.05
    minimum_requests: int = 20
    window_ticks: int = 10
    requests_per_tick: int = 600

    def stops(self, traffic: Traffic) -> Stops:
        """Where each run is rolled back; requests after the last whole tick are not looked at."""
        treatment = self._windows(traffic.treated)
        control = self._windows(~traffic.treated)
        treatment_errors = self._windows(traffic.treated & traffic.errors)
        control_errors = self._windows(~traffic.treated & traffic.errors)
        enough = (treatment >= self.minimum_requests) & (control >= self.minimum_requests)
        # errors_t/n_t > errors_c/n_c + margin, multiplied out
        exceeded = treatment_errors * control - control_errors * treatment > self.margin * treatment * control
        fired = enough & exceeded
        ends = (fired.argmax(axis=1) + 1) * self.requests_per_tick - 1
        return stops_at(traffic.treated, np.where(fired.any(axis=1), ends, NEVER))

    def _windows(self, flags: Flags) -> NDArray[np.int64]:
        """Flags counted over the window that ends with each tick, shape (runs, ticks)."""
        runs, requests = flags.shape
        ticks = requests // self.requests_per_tick
        by_tick = flags[:, : ticks * self.requests_per_tick].reshape(runs, ticks, -1).sum(axis=2)
        running: NDArray[np.int64] = by_tick.cumsum(axis=1)
        running[:, self.window_ticks :] -= running[:, : -self.window_ticks].copy()
        return running


def _stops(game: Game, traffic: Traffic, share_index: NDArray[np.intp], counting: Counting) -> Stops:
    outcomes: Outcomes = np.where(traffic.errors, np.where(traffic.treated, 0, 1), 2).astype(np.int16)
    positions = play(game, outcomes, share_index, counted_requests(traffic, counting))
    return stops_at(traffic.treated, positions)
