"""The e-processes that decide a canary: roll back when it is worse, promote when it is not.

Both are deterministic replays of additive counts, so any decision can be recomputed from the tables.
Rows may come in any order and in any number of parts: integers are summed first, so that the same
counts give the same bits.

Why looking often is safe: see `analytics.betting`. The stake that is put in at tick j meets exactly the
observations of ticks ≥ j, in whatever order they arrive, and what is put in adds up to 1; so E is a
non-negative supermartingale of mean ≤ 1 in order of arrival too, where partitions lag behind each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.betting import (
    FRACTIONS,
    RATIOS,
    Floats,
    log_factors_if_not_worse,
    log_factors_if_worse,
    log_sum,
)
from analytics.columns import Columns, TickCounts, columns_of
from analytics.results import Insufficient

__all__ = [
    "RESERVE",
    "Evidence",
    "EvidencePath",
    "TickCounts",
    "promotion_evidence",
    "promotion_path",
    "rollback_evidence",
    "rollback_path",
]

RESERVE = 0.2
"""The part of the rollback's capital that is kept for regressions that begin late."""

_LARGEST_LOG = 700.0  # exp(700) = 1e304: the nearest power before floats overflow


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strongly the counts speak against one null hypothesis.

    Attributes:
        log_e_value: natural logarithm of E now, exact where `e_value` is capped.
        log_e_peak: the largest log E at the end of any tick so far, at least 0 (the start, E = 1).
        threshold: 1/α; reaching it rejects the null hypothesis.
        treatment_errors: tested errors of the treatment.
        control_errors: tested errors of the control.
        others: all other tested observations, of both.
    """

    log_e_value: float
    log_e_peak: float
    threshold: float
    treatment_errors: int
    control_errors: int
    others: int

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

    @property
    def observations(self) -> int:
        """All tested observations."""
        return self.treatment_errors + self.control_errors + self.others


@dataclass(frozen=True, slots=True)
class EvidencePath:
    """E at the end of every tick that had observations, for pictures.

    Attributes:
        ticks: minutes since the epoch, increasing.
        log_e_values: as many natural logarithms of E.
    """

    ticks: tuple[int, ...]
    log_e_values: tuple[float, ...]


def rollback_evidence(
    counts: Sequence[TickCounts],
    *,
    first_tick: int,
    planned_ticks: int,
    alpha: float,
    margin: float = 0.0,
    now_tick: int | None = None,
) -> Evidence | Insufficient:
    """Evidence against "the treatment's error rate exceeds the control's by at most `margin`, always".

    What to count: the first error of each unit in the phase and every success of the unit; later errors
    of the same unit are left out, or sticky units and retries make false alarms. Counted so, a treatment
    that fails as often but hits more units is worse, and is rolled back.

    Capital 1 is split into S_k = 0.8/K on each of the K ratios and a reserve of 0.2. At the start of each
    of the J planned ticks, the first included, 0.2/(J·K) moves from the reserve to every S_k, before that
    tick's observations are seen; then S_k is multiplied by their factors. E = Σ S_k + reserve. Moving
    capital leaves E as it is, so ticks without observations change nothing. Observations earlier than
    `first_tick` are met by the first 0.8 alone; after J ticks nothing is left to move.

    Args:
        counts: tested observations, in any order; rows of the same tick and share are added up.
        first_tick: the tick in which the experiment's phase began.
        planned_ticks: J ≥ 1, the ticks the phase is planned to last; fixed beforehand.
        alpha: the probability of ever rolling back a harmless treatment, in (0, 1).
        margin: δ in [0, 1), as a difference of rates.
        now_tick: replay as of the end of this tick, leaving later rows out; by default all rows count.

    Returns:
        The evidence, or `Insufficient` when there is no tested observation.

    Raises:
        ValueError: an argument or a row is out of range; the message says which.
    """
    columns = _checked(counts, alpha, margin, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    path = _rollback_path(columns, first_tick=first_tick, planned_ticks=planned_ticks, margin=margin)
    return _evidence(columns, path, alpha)


def rollback_path(
    counts: Sequence[TickCounts],
    *,
    first_tick: int,
    planned_ticks: int,
    margin: float = 0.0,
    now_tick: int | None = None,
) -> EvidencePath | Insufficient:
    """The course of `rollback_evidence`, tick by tick; the same arguments, without the threshold."""
    columns = _checked(counts, 0.5, margin, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    path = _rollback_path(columns, first_tick=first_tick, planned_ticks=planned_ticks, margin=margin)
    return _as_path(columns, path)


def promotion_evidence(
    counts: Sequence[TickCounts],
    *,
    alpha: float,
    margin: float,
    now_tick: int | None = None,
) -> Evidence | Insufficient:
    """Evidence against "the treatment's error rate exceeds the control's by at least `margin`".

    What to count is not what rollback counts: **the first request of each unit in the phase and nothing
    else** (the caller sees to it). Leaving out errors after a unit's first removes bad units from the
    treatment and makes what is left look good.

    Capital 1 is split evenly over the fractions f; there is no reserve. E ≥ 1/α says "not worse by δ".

    Args:
        counts: first requests, in any order; rows of the same tick and share are added up.
        alpha: the probability of ever calling a treatment not worse that is worse by δ, in (0, 1).
        margin: δ in [0, 1), as a difference of rates.
        now_tick: replay as of the end of this tick, leaving later rows out; by default all rows count.

    Returns:
        The evidence, or `Insufficient` when there is no tested observation.

    Raises:
        ValueError: an argument or a row is out of range; the message says which.
    """
    columns = _checked(counts, alpha, margin, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    return _evidence(columns, _promotion_path(columns, margin), alpha)


def promotion_path(
    counts: Sequence[TickCounts], *, margin: float, now_tick: int | None = None
) -> EvidencePath | Insufficient:
    """The course of `promotion_evidence`, tick by tick; the same arguments, without the threshold."""
    columns = _checked(counts, 0.5, margin, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    return _as_path(columns, _promotion_path(columns, margin))


def _checked(
    counts: Sequence[TickCounts], alpha: float, margin: float, now_tick: int | None
) -> Columns | Insufficient:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is a probability in (0, 1), not {alpha}")
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"margin is a difference of rates in [0, 1), not {margin}")
    return columns_of(counts, now_tick)


def _rollback_path(columns: Columns, *, first_tick: int, planned_ticks: int, margin: float) -> Floats:
    """log E at the end of each distinct tick, shape (ticks,)."""
    if planned_ticks < 1:
        raise ValueError(f"planned_ticks is at least 1, not {planned_ticks}")
    gained = columns.gains(log_factors_if_worse(columns.distinct_shares, margin))
    reached = gained.cumsum(axis=0)
    armed = np.clip(columns.distinct_ticks - first_tick + 1, 0, planned_ticks)
    moved = np.diff(armed, prepend=0) * (RESERVE / planned_ticks)
    moved[0] += 1.0 - RESERVE
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant: nothing moved, nothing kept
        log_moved = np.log(moved / len(RATIOS))
        log_kept = np.log(RESERVE * (1.0 - armed / planned_ticks))
    # What was moved at tick j has been multiplied from then on: S_k = Σ_j moved_j·exp(reached − before_j).
    before = np.vstack([np.zeros_like(reached[:1]), reached[:-1]])
    log_stakes = reached + np.logaddexp.accumulate(log_moved[:, None] - before, axis=0)
    return log_sum(np.concatenate([log_stakes, log_kept[:, None]], axis=1))


def _promotion_path(columns: Columns, margin: float) -> Floats:
    """log E at the end of each distinct tick, shape (ticks,)."""
    gained = columns.gains(log_factors_if_not_worse(columns.distinct_shares, margin))
    return log_sum(gained.cumsum(axis=0)) - math.log(len(FRACTIONS))


def _as_path(columns: Columns, path: Floats) -> EvidencePath:
    return EvidencePath(tuple(columns.distinct_ticks.tolist()), tuple(path.tolist()))


def _evidence(columns: Columns, path: Floats, alpha: float) -> Evidence:
    treatment_errors, control_errors, others = columns.totals
    return Evidence(
        log_e_value=float(path[-1]),
        log_e_peak=max(0.0, float(path.max())),
        threshold=1.0 / alpha,
        treatment_errors=treatment_errors,
        control_errors=control_errors,
        others=others,
    )
