"""What every e-process has in common: capital that is staked, kept, added up and compared with 1/α.

A stake that is multiplied by factors of conditional mean ≤ 1 is a non-negative supermartingale while its
null hypothesis holds, and so is the sum of several. Starting from 1 it reaches 1/α with probability at
most α, however often it is looked at (Ville's inequality).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from analytics.betting import Floats, log_sum
from analytics.columns import Columns, Integers

RESERVE = 0.125
"""The part of the capital that is kept for regressions that begin late; decision 21 compares others."""

_LARGEST_LOG = 700.0  # exp(700) = 1e304: the nearest power before floats overflow
_SCALES_APART = 512.0  # a power of two, so that scales are exact; exp(−512) of a sum is not yet nothing


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


Gains = Callable[[Columns], Floats]
"""What each tick of columns adds to the logarithm of each bet, shape (t, K), by the rows of that tick alone.
Two that compare equal are of the same bets."""

Plan = tuple[Gains, int, int]


@dataclass(eq=False, slots=True)
class PathMemory:
    """What the ticks of one e-process came to so far, so that only ticks that are new are computed.

    `re_armed` looks up to which tick nothing has changed and goes on from there. Each tick is made of the one
    before it, so the result is the same to the bit as without a memory. One memory belongs to one test.

    Attributes:
        plan: (gains, first_tick, planned_ticks) of what is remembered.
        columns: what was observed; None before the first call.
        reached: shape (t, K), what the bets gained up to each tick.
        scale: shape (t, K), in whose exponential `met` is counted.
        met: shape (t, K), Σ_j moved_j·exp(−before_j − scale) up to each tick.
        path: shape (t,), log E.
    """

    plan: Plan | None = None
    columns: Columns | None = None
    reached: Floats = field(default_factory=lambda: np.empty((0, 0)))
    scale: Floats = field(default_factory=lambda: np.empty((0, 0)))
    met: Floats = field(default_factory=lambda: np.empty((0, 0)))
    path: Floats = field(default_factory=lambda: np.empty(0))

    def unchanged(self, columns: Columns, plan: Plan) -> int:
        """How many ticks of these columns, from the first, are the ones remembered."""
        return 0 if self.columns is None or plan != self.plan else columns.unchanged(self.columns)


def re_armed(
    columns: Columns,
    gains: Gains,
    *,
    first_tick: int,
    planned_ticks: int,
    memory: PathMemory | None = None,
) -> Floats:
    """log E at the end of each tick, of bets that get more capital as time goes on.

    Capital 1 is split into (1 − R)/K on each of the K bets and a reserve of R = `RESERVE`. At the start of
    each of the J planned ticks, the first included, R/(J·K) moves from the reserve to every bet, before
    that tick's observations are seen. E is the sum of all stakes and the reserve: moving capital leaves it
    as it is, so ticks without observations change nothing. Observations earlier than `first_tick` are met
    by the first 1 − R alone; after J ticks nothing is left to move.

    Args:
        columns: what was observed.
        gains: what each tick of such columns adds to the logarithm of each bet.
        first_tick: the tick in which the experiment's phase began.
        planned_ticks: J ≥ 1, fixed beforehand.
        memory: what earlier calls for the same test came to; it saves time and changes no bit.

    Returns:
        Shape (t,).
    """
    if planned_ticks < 1:
        raise ValueError(f"planned_ticks is at least 1, not {planned_ticks}")
    plan, ticks = (gains, first_tick, planned_ticks), columns.distinct_ticks
    known = PathMemory() if memory is None else memory
    same = min(known.unchanged(columns, plan), len(ticks) - 1)  # the last one is computed in any case
    gained = gains(columns.since(same))
    log_moved, log_kept = _log_capital(ticks, first_tick, planned_ticks, gained.shape[1])
    start = known.reached[same - 1 : same] if same else np.zeros((1, gained.shape[1]))
    reached = np.concatenate([start, gained]).cumsum(axis=0)
    # What was moved at tick j has been multiplied from then on: S_k = Σ_j moved_j·exp(reached − before_j).
    moved_then = log_moved[same:, None] - reached[:-1]
    scale, met = _running_sums(moved_then, known.scale[same - 1 : same], known.met[same - 1 : same])
    stakes_and_kept = np.empty((len(met), met.shape[1] + 1))
    stakes = np.log(met)
    stakes += scale
    stakes += reached[1:]
    stakes_and_kept[:, :-1] = stakes
    stakes_and_kept[:, -1] = log_kept[same:]
    known.plan, known.columns = plan, columns
    known.reached = _continued(known.reached, same, reached[1:])
    known.scale, known.met = _continued(known.scale, same, scale), _continued(known.met, same, met)
    known.path = np.concatenate([known.path[:same], log_sum(stakes_and_kept)])
    return known.path


def _running_sums(log_terms: Floats, scale: Floats, sums: Floats) -> tuple[Floats, Floats]:
    """Sums of exponentials down to each row, counted in an exponential that fits each.

    The scale of a row lies within 256 of the largest logarithm so far and seldom changes, so that nearly all
    of this is one pass over an array. Where the rows are split changes no bit.

    Args:
        log_terms: shape (n, K), n ≥ 1, −∞ for nothing, but not in a column's first row of all.
        scale: shape (1, K), that of the row before, or (0, K) without one.
        sums: likewise, the sums down to the row before.

    Returns:
        The scales and the sums, both of shape (n, K): Σ exp(log_terms) = exp(scale)·sums.
    """
    scales = np.maximum.accumulate(log_terms, axis=0)
    if len(scale):
        np.maximum(scales, scale, out=scales)
    # In place from here on: fresh memory for every step would take longer than the steps.
    scales /= _SCALES_APART
    np.rint(scales, out=scales)
    scales *= _SCALES_APART
    scaled = log_terms - scales
    np.exp(scaled, out=scaled)
    if len(sums):
        scaled[0] += sums[0] * np.exp(scale[0] - scales[0])
    changed = (scales[1:] != scales[:-1]).any(axis=1).nonzero()[0] + 1
    kept = np.exp(scales[changed - 1] - scales[changed])
    ends = [*changed.tolist(), len(scaled)]
    _accumulate(scaled[: ends[0]])
    for (first, end), factors in zip(pairwise(ends), kept, strict=True):
        scaled[first] += scaled[first - 1] * factors
        _accumulate(scaled[first:end])
    return scales, scaled


def _accumulate(rows: Floats) -> None:
    """Add to each row all those before it."""
    np.add.accumulate(rows, axis=0, out=rows)


def _log_capital(ticks: Integers, first_tick: int, planned_ticks: int, bets: int) -> tuple[Floats, Floats]:
    """The logarithms of what is moved to each bet at each tick, and of what is left in the reserve then."""
    armed = np.clip(ticks - first_tick + 1, 0, planned_ticks)
    moved = np.diff(armed, prepend=0) * (RESERVE / planned_ticks)
    moved[0] += 1.0 - RESERVE
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant: nothing moved, nothing kept
        return np.log(moved / bets), np.log(RESERVE * (1.0 - armed / planned_ticks))


def _continued(known: Floats, same: int, then: Floats) -> Floats:
    """So many rows of what is known, and then others: in place where there are as many rows as before."""
    if not same:
        return then
    if len(known) == same + len(then):
        known[same:] = then
        return known
    return np.concatenate([known[:same], then])
