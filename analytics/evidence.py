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

from analytics.betting import (
    FRACTIONS,
    Floats,
    log_factors_if_not_worse,
    log_factors_if_worse,
    log_sum,
)
from analytics.columns import Columns, TickCounts, columns_of
from analytics.eprocess import RESERVE, EProcess, PathMemory, re_armed
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


@dataclass(frozen=True, slots=True)
class Evidence(EProcess):
    """How strongly the counts of errors speak against one null hypothesis.

    Attributes:
        treatment_errors: tested errors of the treatment.
        control_errors: tested errors of the control.
        others: all other tested observations, of both.
    """

    treatment_errors: int
    control_errors: int
    others: int

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
    counts: Sequence[TickCounts] | Columns,
    *,
    first_tick: int,
    planned_ticks: int,
    alpha: float,
    margin: float = 0.0,
    now_tick: int | None = None,
    memory: PathMemory | None = None,
) -> Evidence | Insufficient:
    """Evidence against "the treatment's error rate exceeds the control's by at most `margin`, always".

    What to count: the first error of each unit in the phase and every success of the unit; later errors
    of the same unit are left out, or sticky units and retries make false alarms. Counted so, a treatment
    that fails as often but hits more units is worse, and is rolled back.

    Capital is moved from a reserve to the bets tick by tick, so that a regression that begins late is met
    by fresh capital (`analytics.eprocess.re_armed`).

    Args:
        counts: tested observations, in any order; rows of the same tick and share are added up.
        first_tick: the tick in which the experiment's phase began.
        planned_ticks: J ≥ 1, the ticks the phase is planned to last; fixed beforehand.
        alpha: the probability of ever rolling back a harmless treatment, in (0, 1).
        margin: δ in [0, 1), as a difference of rates.
        now_tick: replay as of the end of this tick, leaving later rows out; by default all rows count.
        memory: what earlier calls for this test came to; it saves time and changes no bit.

    Returns:
        The evidence, or `Insufficient` when there is no tested observation.

    Raises:
        ValueError: an argument or a row is out of range; the message says which.
    """
    columns = _checked(counts, alpha, margin, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    path = _rollback_path(
        columns, first_tick=first_tick, planned_ticks=planned_ticks, margin=margin, memory=memory
    )
    return _evidence(columns, path, alpha)


def rollback_path(
    counts: Sequence[TickCounts] | Columns,
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
    counts: Sequence[TickCounts] | Columns,
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
    counts: Sequence[TickCounts] | Columns, *, margin: float, now_tick: int | None = None
) -> EvidencePath | Insufficient:
    """The course of `promotion_evidence`, tick by tick; the same arguments, without the threshold."""
    columns = _checked(counts, 0.5, margin, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    return _as_path(columns, _promotion_path(columns, margin))


def _checked(
    counts: Sequence[TickCounts] | Columns, alpha: float, margin: float, now_tick: int | None
) -> Columns | Insufficient:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is a probability in (0, 1), not {alpha}")
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"margin is a difference of rates in [0, 1), not {margin}")
    return columns_of(counts, now_tick)


@dataclass(frozen=True, slots=True)
class _GainsIfWorse:
    """What ticks add to the bets on a treatment that is worse by more than `margin`."""

    margin: float

    def __call__(self, columns: Columns) -> Floats:
        return columns.gains(log_factors_if_worse(columns.distinct_shares, self.margin))


def _rollback_path(
    columns: Columns,
    *,
    first_tick: int,
    planned_ticks: int,
    margin: float,
    memory: PathMemory | None = None,
) -> Floats:
    """log E at the end of each distinct tick, shape (ticks,)."""
    return re_armed(
        columns, _GainsIfWorse(margin), first_tick=first_tick, planned_ticks=planned_ticks, memory=memory
    )


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
