"""When the tests stop on simulated traffic, looked at after every request.

This is how the operating characteristics are measured: false alarms, misses and the requests it takes.
The e-processes are those of `analytics.evidence`, carried forward observation by observation for many
runs at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats, log_factors_if_not_worse, log_factors_if_worse
from analytics.evidence import RESERVE
from analytics.traffic import Counting, Flags, Traffic, counted_requests

_NEVER = -1
_STEPS_BETWEEN_CLEARANCES = 32  # stakes of runs that have stopped grow on until they are cleared away


@dataclass(frozen=True, slots=True)
class Stops:
    """Where each run stopped.

    Attributes:
        positions: shape (runs,), the index of the request after which the run stopped, −1 for never.
        treatment_requests: shape (runs,), requests the treatment had served by then, or in the whole run.
    """

    positions: NDArray[np.int64]
    treatment_requests: NDArray[np.int64]

    @property
    def stopped(self) -> Flags:
        """Shape (runs,): whether the run stopped at all."""
        stopped: Flags = self.positions != _NEVER
        return stopped

    @property
    def rate(self) -> float:
        """The fraction of runs that stopped."""
        return float(self.stopped.mean())


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
        game = _Game(
            factors=np.exp(log_factors_if_worse(shares, self.margin)),
            reserve=self.reserve,
            requests_per_tick=self.requests_per_tick,
            planned_ticks=self.planned_ticks,
            threshold=1.0 / self.alpha,
        )
        return _stops(game, traffic, share_index, counted_requests(traffic, counting))


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
        game = _Game(
            factors=np.exp(log_factors_if_not_worse(shares, self.margin)), threshold=1.0 / self.alpha
        )
        return _stops(game, traffic, share_index, counted_requests(traffic, counting))


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
        return _at(traffic, np.where(fired.any(axis=1), ends, _NEVER))

    def _windows(self, flags: Flags) -> NDArray[np.int64]:
        """Flags counted over the window that ends with each tick, shape (runs, ticks)."""
        runs, requests = flags.shape
        ticks = requests // self.requests_per_tick
        by_tick = flags[:, : ticks * self.requests_per_tick].reshape(runs, ticks, -1).sum(axis=2)
        running: NDArray[np.int64] = by_tick.cumsum(axis=1)
        running[:, self.window_ticks :] -= running[:, : -self.window_ticks].copy()
        return running


@dataclass(frozen=True, slots=True)
class _Game:
    """What happens to the stakes of one run, observation by observation.

    Attributes:
        factors: shape (m, 3, K), by share: (treatment error, control error, other).
        threshold: the run stops when all capital together reaches it.
        reserve: the part of the capital 1 that is not staked at the start.
        requests_per_tick: requests between two payments out of the reserve.
        planned_ticks: payments until the reserve is spent.
    """

    factors: Floats
    threshold: float
    reserve: float = 0.0
    requests_per_tick: int = 1
    planned_ticks: int = 1

    def paid(self, positions: NDArray[np.int64]) -> Floats:
        """How much of the reserve has been paid out before the requests at these positions are seen."""
        ticks = np.minimum(positions // self.requests_per_tick + 1, self.planned_ticks)
        return self.reserve * (ticks / self.planned_ticks)


def _stops(game: _Game, traffic: Traffic, share_index: NDArray[np.intp], counted: Flags) -> Stops:
    """Play every run until its capital reaches the threshold.

    Only observations that change a stake are visited; between two of them the total stays as it is.
    """
    bets = game.factors.shape[2]
    factors = np.vstack([game.factors.reshape(-1, bets), np.ones((1, bets))]).T
    codes, positions = _moves(game, traffic, share_index, counted)
    runs = np.arange(traffic.errors.shape[0])
    stakes = np.full((bets, len(runs)), (1.0 - game.reserve) / bets)
    paid = np.zeros(len(runs))
    found = np.full(len(runs), _NEVER, np.int64)
    for step in range(len(codes)):
        if step % _STEPS_BETWEEN_CLEARANCES == 0:
            going = found[runs] == _NEVER
            runs, stakes, paid = runs[going], stakes[:, going], paid[going]
            if not len(runs):
                break
        position = positions[step, runs]
        if game.reserve:
            due = game.paid(position)
            stakes += (due - paid) / bets
            paid = due
        stakes *= factors[:, codes[step, runs]]
        reached = stakes.sum(axis=0) + (game.reserve - paid) >= game.threshold
        if reached.any():
            newly = reached & (found[runs] == _NEVER)
            found[runs[newly]] = position[newly]
    return _at(traffic, found)


def _moves(
    game: _Game, traffic: Traffic, share_index: NDArray[np.intp], counted: Flags
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The observations of each run that change a stake, in order of time.

    Returns:
        Rows of factors (or the row of ones, behind the last observation of a run) and positions of the
        requests, both of shape (most observations of any run, runs).
    """
    outcomes = np.where(traffic.errors, np.where(traffic.treated, 0, 1), 2).astype(np.int16)
    moving = (game.factors != 1.0).any(axis=2).ravel()
    all_codes = outcomes + (3 * share_index).astype(np.int16)
    run, position = np.nonzero(counted & moving[all_codes])
    per_run = np.bincount(run, minlength=len(counted))
    rank = np.arange(len(run)) - np.repeat(per_run.cumsum() - per_run, per_run)
    shape = (int(per_run.max()), len(counted))
    codes = np.full(shape, len(moving), np.intp)
    positions = np.full(shape, counted.shape[1] - 1, np.int64)
    codes[rank, run] = all_codes[run, position]
    positions[rank, run] = position
    return codes, positions


def _at(traffic: Traffic, positions: NDArray[np.int64]) -> Stops:
    served = np.arange(traffic.treated.shape[1]) <= np.where(positions == _NEVER, np.inf, positions)[:, None]
    return Stops(positions, (traffic.treated & served).sum(axis=1))
