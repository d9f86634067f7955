"""Playing the bets of an e-process on simulated traffic, for many runs at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats
from analytics.traffic import Flags

Outcomes = NDArray[np.int16]
Positions = NDArray[np.int64]

NEVER = -1
"""The position of a run that did not stop."""

_STEPS_BETWEEN_CLEARANCES = 32  # stakes of runs that have stopped grow on until they are cleared away


@dataclass(frozen=True, slots=True)
class Stops:
    """Where each run stopped.

    Attributes:
        positions: shape (runs,), the index of the request after which the run stopped, −1 for never.
        treatment_requests: shape (runs,), requests the treatment had served by then, or in the whole run.
    """

    positions: Positions
    treatment_requests: NDArray[np.int64]

    @property
    def stopped(self) -> Flags:
        """Shape (runs,): whether the run stopped at all."""
        stopped: Flags = self.positions != NEVER
        return stopped

    @property
    def rate(self) -> float:
        """The fraction of runs that stopped."""
        return float(self.stopped.mean())


@dataclass(frozen=True, slots=True)
class Game:
    """What happens to the stakes of one run, observation by observation.

    Attributes:
        factors: shape (m, C, K), by share and outcome; for errors C = 3, (treatment error, control error,
            other).
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

    def paid(self, positions: Positions) -> Floats:
        """How much of the reserve has been paid out before the requests at these positions are seen."""
        ticks = np.minimum(positions // self.requests_per_tick + 1, self.planned_ticks)
        return self.reserve * (ticks / self.planned_ticks)


def play(game: Game, outcomes: Outcomes, share_index: NDArray[np.intp], counted: Flags) -> Positions:
    """Play every run until its capital reaches the threshold.

    Only observations that change a stake are visited; between two of them the total stays as it is.

    Args:
        game: what the observations are worth.
        outcomes: shape (runs, requests), which of the C outcomes each request had.
        share_index: shape (requests,), the row of `game.factors` of each request.
        counted: shape (runs, requests), whether the request is an observation.

    Returns:
        Shape (runs,), the index of the request after which the run stopped, `NEVER` for never.
    """
    bets = game.factors.shape[2]
    factors = np.vstack([game.factors.reshape(-1, bets), np.ones((1, bets))]).T
    codes, positions = _moves(game, outcomes, share_index, counted)
    runs = np.arange(len(counted))
    stakes = np.full((bets, len(runs)), (1.0 - game.reserve) / bets)
    paid = np.zeros(len(runs))
    found = np.full(len(runs), NEVER, np.int64)
    for step in range(len(codes)):
        if step % _STEPS_BETWEEN_CLEARANCES == 0:
            going = found[runs] == NEVER
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
            newly = reached & (found[runs] == NEVER)
            found[runs[newly]] = position[newly]
    return found


def stops_at(treated: Flags, positions: Positions) -> Stops:
    """What the treatment had served, of the requests `treated`, when each run stopped."""
    served = np.arange(treated.shape[1]) <= np.where(positions == NEVER, treated.shape[1], positions)[:, None]
    return Stops(positions, (treated & served).sum(axis=1))


def _moves(
    game: Game, outcomes: Outcomes, share_index: NDArray[np.intp], counted: Flags
) -> tuple[NDArray[np.intp], Positions]:
    """The observations of each run that change a stake, in order of time.

    Returns:
        Rows of factors (or the row of ones, behind the last observation of a run) and positions of the
        requests, both of shape (most observations of any run, runs).
    """
    moving = (game.factors != 1.0).any(axis=2).ravel()
    all_codes = outcomes + (game.factors.shape[1] * share_index).astype(np.int16)
    run, position = np.nonzero(counted & moving[all_codes])
    per_run = np.bincount(run, minlength=len(counted))
    rank = np.arange(len(run)) - np.repeat(per_run.cumsum() - per_run, per_run)
    shape = (int(per_run.max()), len(counted))
    codes = np.full(shape, len(moving), np.intp)
    positions = np.full(shape, counted.shape[1] - 1, np.int64)
    codes[rank, run] = all_codes[run, position]
    positions[rank, run] = position
    return codes, positions
