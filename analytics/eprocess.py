"""What every e-process has in common: capital that is staked, kept, added up and compared with 1/α.

A stake that is multiplied by factors of conditional mean ≤ 1 is a non-negative supermartingale while its
null hypothesis holds, and so is the sum of several. Starting from 1 it reaches 1/α with probability at
most α, however often it is looked at (Ville's inequality).
"""

import math
from dataclasses import dataclass

import numpy as np

from analytics.betting import Floats, log_sum
from analytics.columns import Integers

RESERVE = 0.2
"""The part of the capital that is kept for regressions that begin late."""

_LARGEST_LOG = 700.0  # exp(700) = 1e304: the nearest power before floats overflow


@dataclass(frozen=True, slots=True)
class EProcess:
    """How strongly what was observed speaks against one null hypothesis.

    Attributes:
        log_e_value: natural logarithm of E now, exact where `e_value` is capped.
        log_e_peak: the largest log E at the end of any tick so far, at least 0 (the start, E = 1).
        threshold: 1/α; reaching it rejects the null hypothesis.
    """

    log_e_value: float
    log_e_peak: float
    threshold: float

    @property
    def e_value(self) -> float:
        """E now, capped at 1e304 so that it stays a finite number."""
        return math.exp(min(self.log_e_value, _LARGEST_LOG))

    @property
    def p_value(self) -> float:
        """The always-valid p: the running minimum of 1/E over the ticks, in (0, 1]."""
        return math.exp(-min(self.log_e_peak, _LARGEST_LOG))

    @property
    def crossed(self) -> bool:
        """Whether E is at or above 1/α now: the rule to act on."""
        return self.log_e_value >= math.log(self.threshold)

    @property
    def has_crossed(self) -> bool:
        """Whether E was at or above 1/α at the end of any tick so far, even if it fell again."""
        return self.log_e_peak >= math.log(self.threshold)


def re_armed(gained: Floats, ticks: Integers, *, first_tick: int, planned_ticks: int) -> Floats:
    """log E at the end of each tick, of bets that get more capital as time goes on.

    Capital 1 is split into 0.8/K on each of the K bets and a reserve of 0.2. At the start of each of the
    J planned ticks, the first included, 0.2/(J·K) moves from the reserve to every bet, before that
    tick's observations are seen. E is the sum of all stakes and the reserve: moving capital leaves it as
    it is, so ticks without observations change nothing. Observations earlier than `first_tick` are met
    by the first 0.8 alone; after J ticks nothing is left to move.

    Args:
        gained: shape (t, K), what each tick adds to the logarithm of each bet.
        ticks: shape (t,), increasing.
        first_tick: the tick in which the experiment's phase began.
        planned_ticks: J ≥ 1, fixed beforehand.

    Returns:
        Shape (t,).
    """
    if planned_ticks < 1:
        raise ValueError(f"planned_ticks is at least 1, not {planned_ticks}")
    reached = gained.cumsum(axis=0)
    armed = np.clip(ticks - first_tick + 1, 0, planned_ticks)
    moved = np.diff(armed, prepend=0) * (RESERVE / planned_ticks)
    moved[0] += 1.0 - RESERVE
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant: nothing moved, nothing kept
        log_moved = np.log(moved / gained.shape[1])
        log_kept = np.log(RESERVE * (1.0 - armed / planned_ticks))
    # What was moved at tick j has been multiplied from then on: S_k = Σ_j moved_j·exp(reached − before_j).
    before = np.vstack([np.zeros_like(reached[:1]), reached[:-1]])
    log_stakes = reached + np.logaddexp.accumulate(log_moved[:, None] - before, axis=0)
    return log_sum(np.concatenate([log_stakes, log_kept[:, None]], axis=1))
