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
        observed: shape (c, n), the counts of each outcome by row; for errors c = 3, (treatment errors,
            control errors, others).
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
    def shares(self) -> Floats:
        """Shape (n,): the share of each row."""
        return self.distinct_shares[self.share_index]

    @property
    def totals(self) -> tuple[int, int, int]:
        """(treatment errors, control errors, others) of all rows."""
        treatment_errors, control_errors, others = self.observed.sum(axis=1).tolist()
        return treatment_errors, control_errors, others

    def until(self, now_tick: int | None) -> "Columns | Insufficient":
        """Leave out the rows of later ticks; None leaves out nothing."""
        if now_tick is None:
            return self
        return gathered(self.ticks, self.shares, self.observed, now_tick)

    def since(self, tick: int) -> "Columns":
        """The rows from the distinct tick at this place on; shares keep their places."""
        first = self.tick_starts[tick]
        return Columns(
            self.ticks[first:],
            self.share_index[first:],
            self.distinct_shares,
            self.observed[:, first:],
            self.tick_starts[tick:] - first,
        )

    def unchanged(self, earlier: "Columns") -> int:
        """How many distinct ticks, from the first, have the same rows as they had earlier."""
        both = min(len(self.ticks), len(earlier.ticks))
        differs = self.ticks[:both] != earlier.ticks[:both]
        differs |= self.shares[:both] != earlier.shares[:both]
        differs |= (self.observed[:, :both] != earlier.observed[:, :both]).any(axis=0)
        same = int(differs.argmax()) if differs.any() else both
        return min(_complete_ticks(self, same), _complete_ticks(earlier, same))

    def gains(self, log_factors: Floats) -> Floats:
        """What each tick adds to the logarithm of each bet.

        Args:
            log_factors: shape (m, c, K), by distinct share.

        Returns:
            Shape (t, K).
        """
        if len(log_factors) > 1:  # where the share never changed, its factors are those of every row
            log_factors = log_factors.take(self.share_index, axis=0)
        by_row = np.zeros((len(self.ticks), log_factors.shape[2]))
        for outcome, counts in enumerate(self.observed.astype(np.float64)):
            by_row += log_factors[:, outcome] * counts[:, None]
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
    observed = np.empty((3, n), np.int64)
    observed[0] = np.fromiter((row.treatment_errors for row in counts), np.int64, n)
    observed[1] = np.fromiter((row.control_errors for row in counts), np.int64, n)
    observed[2] = np.fromiter((row.others for row in counts), np.int64, n)
    return gathered(ticks, shares, observed, now_tick)


def gathered(
    ticks: Integers, shares: Floats, observed: Integers, now_tick: int | None = None
) -> Columns | Insufficient:
    """Columns out of rows of counts of any kind, as `columns_of` makes them.

    Args:
        ticks: shape (n,).
        shares: shape (n,).
        observed: shape (c, n), counts.
        now_tick: leave out the rows of later ticks; by default none.

    Raises:
        ValueError: a share outside (0, 1) or a negative count.
    """
    _check_rows(shares, observed)
    kept = observed.any(axis=0)
    if now_tick is not None:
        kept &= ticks <= now_tick
    if not kept.any():
        return Insufficient("no observations: nothing that can be tested has been counted yet")
    if not kept.all():
        ticks, shares, observed = ticks[kept], shares[kept], observed[:, kept]
    return _sorted_and_added(ticks, shares, observed)


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
    ticks, shares, observed = ticks[order], shares[order], observed.take(order, axis=1)
    new_tick = _begins(ticks)
    starts = np.flatnonzero(new_tick | _begins(shares))
    if len(starts) < len(ticks):
        ticks, shares, new_tick = ticks[starts], shares[starts], new_tick[starts]
        observed = np.add.reduceat(observed, starts, axis=1)
    distinct_shares = np.unique(shares)
    share_index = np.searchsorted(distinct_shares, shares)
    return Columns(ticks, share_index, distinct_shares, observed, np.flatnonzero(new_tick))


def _begins(values: Integers | Floats) -> NDArray[np.bool_]:
    """Where a value is another one than the one before it, and at the first."""
    begins = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins


def _complete_ticks(columns: Columns, rows: int) -> int:
    """How many distinct ticks have all of their rows among the first so many."""
    if rows == len(columns.ticks):
        return len(columns.tick_starts)
    return int(np.searchsorted(columns.tick_starts, rows, side="right")) - 1
