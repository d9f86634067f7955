"""Counts of tested observations: the rows as they are stored, and the columns they are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats
from analytics.results import Insufficient

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TickCounts:
    """Tested observations of one tick at one share; rows of the same tick and share merge with `+`.

    Attributes:
        tick: minutes since the epoch.
        share: w in (0, 1), the probability with which each of these units got the treatment.
        treatment_errors: tested errors of the treatment.
        control_errors: tested errors of the control.
        others: all other tested observations, of both.
    """

    tick: int
    share: float
    treatment_errors: int
    control_errors: int
    others: int

    def __add__(self, other: Self) -> Self:
        if (self.tick, self.share) != (other.tick, other.share):
            raise ValueError(
                f"only counts of the same tick and share can be added, not {self.tick} at {self.share} "
                f"and {other.tick} at {other.share}; keep them as two rows"
            )
        return type(self)(
            self.tick,
            self.share,
            self.treatment_errors + other.treatment_errors,
            self.control_errors + other.control_errors,
            self.others + other.others,
        )


@dataclass(frozen=True, slots=True)
class Columns:
    """Counts as arrays, in order of (tick, share), without empty or repeated rows.

    Attributes:
        ticks: shape (n,), the tick of each row.
        share_index: shape (n,), where each row's share stands in `distinct_shares`.
        distinct_shares: shape (m,), increasing.
        observed: shape (n, c), the counts of each row; for errors c = 3, (treatment errors, control
            errors, others).
        tick_starts: shape (t,), the first row of each distinct tick.
    """

    ticks: Integers
    share_index: NDArray[np.intp]
    distinct_shares: Floats
    observed: Integers
    tick_starts: NDArray[np.intp]

    @property
    def distinct_ticks(self) -> Integers:
        """Shape (t,), increasing."""
        return self.ticks[self.tick_starts]

    @property
    def totals(self) -> tuple[int, int, int]:
        """(treatment errors, control errors, others) of all rows."""
        treatment_errors, control_errors, others = self.observed.sum(axis=0).tolist()
        return treatment_errors, control_errors, others

    def until(self, now_tick: int | None) -> "Columns | Insufficient":
        """Leave out the rows of later ticks; None leaves out nothing."""
        if now_tick is None:
            return self
        return gathered(self.ticks, self.distinct_shares[self.share_index], self.observed, now_tick)

    def gains(self, log_factors: Floats) -> Floats:
        """What each tick adds to the logarithm of each bet.

        Args:
            log_factors: shape (m, c, K), by distinct share.

        Returns:
            Shape (t, K).
        """
        by_row = np.zeros((len(self.ticks), log_factors.shape[2]))
        for outcome in range(self.observed.shape[1]):
            by_row += log_factors[self.share_index, outcome] * self.observed[:, outcome, None]
        return self.by_tick(by_row)

    def by_tick(self, by_row: Floats) -> Floats:
        """The sums of rows of the same tick, shape (n, K) → (t, K)."""
        if len(self.tick_starts) == len(self.ticks):
            return by_row
        added: Floats = np.add.reduceat(by_row, self.tick_starts, axis=0)
        return added


def columns_of(counts: Sequence[TickCounts] | Columns, now_tick: int | None = None) -> Columns | Insufficient:
    """Gather rows into columns, adding up those of the same tick and share as integers.

    Args:
        counts: rows in any order, or columns that were gathered before.
        now_tick: leave out the rows of later ticks; by default none.

    Raises:
        ValueError: a share outside (0, 1) or a negative count.
    """
    if isinstance(counts, Columns):
        return counts.until(now_tick)
    n = len(counts)
    ticks = np.fromiter((row.tick for row in counts), np.int64, n)
    shares = np.fromiter((row.share for row in counts), np.float64, n)
    observed = np.empty((n, 3), np.int64)
    observed[:, 0] = np.fromiter((row.treatment_errors for row in counts), np.int64, n)
    observed[:, 1] = np.fromiter((row.control_errors for row in counts), np.int64, n)
    observed[:, 2] = np.fromiter((row.others for row in counts), np.int64, n)
    return gathered(ticks, shares, observed, now_tick)


def gathered(
    ticks: Integers, shares: Floats, observed: Integers, now_tick: int | None = None
) -> Columns | Insufficient:
    """Columns out of rows of counts of any kind, as `columns_of` makes them.

    Args:
        ticks: shape (n,).
        shares: shape (n,).
        observed: shape (n, c), counts.
        now_tick: leave out the rows of later ticks; by default none.

    Raises:
        ValueError: a share outside (0, 1) or a negative count.
    """
    _check_rows(shares, observed)
    kept = observed.any(axis=1)
    if now_tick is not None:
        kept &= ticks <= now_tick
    if not kept.any():
        return Insufficient("no observations: nothing that can be tested has been counted yet")
    return _sorted_and_added(ticks[kept], shares[kept], observed[kept])


def _check_rows(shares: Floats, observed: Integers) -> None:
    usable = (shares > 0.0) & (shares < 1.0)
    if not usable.all():
        raise ValueError(
            f"a share of {shares[~usable][0]} compares nothing: it must lie in (0, 1); "
            "leave out what was observed while only one variant was served"
        )
    if (observed < 0).any():
        raise ValueError(f"counts are not negative, but one is {observed.min()}")


def _sorted_and_added(ticks: Integers, shares: Floats, observed: Integers) -> Columns:
    order = np.lexsort((shares, ticks))
    ticks, shares, observed = ticks[order], shares[order], observed[order]
    new_tick = np.diff(ticks, prepend=ticks[0] - 1) != 0
    starts = np.flatnonzero(new_tick | (np.diff(shares, prepend=0.0) != 0.0))
    if len(starts) < len(ticks):
        ticks, shares, new_tick = ticks[starts], shares[starts], new_tick[starts]
        observed = np.add.reduceat(observed, starts, axis=0)
    distinct_shares, share_index = np.unique(shares, return_inverse=True)
    return Columns(ticks, share_index, distinct_shares, observed, np.flatnonzero(new_tick))
