"""A quantile in each variant, and their difference, where units send many requests that are alike.

Sketches (`analytics.sketch`) are kept for 32 **replicates** of each variant: all analysis buckets with the
same remainder, so a unit is in one of them. For the quantile q̂ at level ℓ the fraction of values at or
below it is a ratio of sums over the replicates, with the cluster-robust variance of `analytics.buckets`.
Its interval, taken on the logit scale to stay within (0, 1), logit ℓ ± c·√V/(ℓ(1−ℓ)), is read back
through the distribution (Woodruff 1952, doi:10.1080/01621459.1952.10483443), which needs no density and no
resampling. A jackknife over the replicates would see a quantile that stays in its cell as one that does
not vary.

The intervals [l, u] of treatment and control are put together without assuming that they are symmetric
(Zou & Donner 2008, doi:10.1002/sim.3095):

    lower = Δ − √((q_t−l_t)² + (u_c−q_c)²),   upper = Δ + √((u_t−q_t)² + (q_c−l_c)²).

c is Student's t with Welch's degrees of freedom for a fixed horizon, or the boundary of the confidence
sequence for results that are looked at always. The sequence begins when the replicates of both variants
weigh as much as 21 of equal size, and when 20 values lie beyond the quantile in each variant: with 5 % of the
traffic, and looks from the tenth replicate on, up to 12 % of equal variants were told apart at α = .05, with
the first condition alone up to 10 %, with both at most 5 %. Related: Deng, Knoblich & Lu 2018,
arXiv:1803.06336.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, stdtrit

from analytics.buckets import BucketSums, bucketed_mean
from analytics.comparison import Method, check_alpha
from analytics.estimates import Estimate, contrast
from analytics.results import Insufficient, Interval
from analytics.sequential import boundary
from analytics.sketch import Integers, Sketch, cell_edges

REPLICATES = 32
"""Into how many parts the units of a variant are divided."""

MINIMUM_REPLICATES = 10
"""Replicates with values that each variant must have."""

MINIMUM_SEQUENTIAL_DEGREES = 20
"""Degrees of freedom that each variant must have before it is looked at again and again."""

MINIMUM_BEYOND = 20
"""Values beyond the quantile, on its rarer side, that each variant must have before that."""


@dataclass(frozen=True, eq=False, slots=True)
class ReplicatedSketch:
    """A sketch for each replicate of one variant; merges with `+`.

    Attributes:
        cells: shape (k,), increasing.
        counts: shape (R, k), ≥ 0: of each replicate in each cell.
    """

    cells: Integers
    counts: Integers

    def __add__(self, other: Self) -> Self:
        if len(self.counts) != len(other.counts):
            raise ValueError("only sketches with the same number of replicates add up")
        cells = np.union1d(self.cells, other.cells)
        counts = np.zeros((len(self.counts), len(cells)), np.int64)
        counts[:, np.searchsorted(cells, self.cells)] += self.counts
        counts[:, np.searchsorted(cells, other.cells)] += other.counts
        return type(self)(cells, counts)

    @classmethod
    def from_rows(
        cls, replicates: ArrayLike, cells: ArrayLike, counts: ArrayLike, *, size: int = REPLICATES
    ) -> Self:
        """From rows (replicate, cell, count) in any order and with repetitions.

        Args:
            replicates: shape (n,), the analysis bucket modulo `size`.
            cells: shape (n,), as of `analytics.sketch.cells_of`.
            counts: shape (n,), ≥ 0.
            size: R, how many replicates there are.
        """
        rows, given = np.asarray(replicates, np.int64), np.asarray(counts, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < size:
            raise ValueError(f"replicates lie in [0, {size}), not {rows.min()} to {rows.max()}")
        if (given < 0).any():
            raise ValueError(f"counts are not negative, but one is {given.min()}")
        distinct, where = np.unique(np.asarray(cells, np.int64), return_inverse=True)
        summed = np.zeros((size, len(distinct)), np.int64)
        np.add.at(summed, (rows, where), given)
        filled = summed.any(axis=0)
        return cls(distinct[filled], summed[:, filled])

    @property
    def n(self) -> int:
        """How many values."""
        return int(self.counts.sum())

    @property
    def merged(self) -> Sketch:
        """The sketch of all replicates together."""
        return Sketch(self.cells, self.counts.sum(axis=0))


@dataclass(frozen=True, slots=True)
class QuantileDifference:
    """The treatment's quantile minus the control's.

    Attributes:
        level: which quantile, in (0, 1).
        treatment: the treatment's quantile, in the metric's unit.
        control: the control's.
        point: the difference.
        interval: its interval.
        method: when this may be looked at.
        sample_size: values of both variants together.
    """

    level: float
    treatment: float
    control: float
    point: float
    interval: Interval
    method: Method
    sample_size: int


def quantile_difference(
    treatment: ReplicatedSketch,
    control: ReplicatedSketch,
    level: float,
    *,
    alpha: float = 0.05,
    method: Method = Method.SEQUENTIAL,
) -> QuantileDifference | Insufficient:
    """The difference of a quantile between two variants, with a cluster-robust interval.

    Args:
        treatment: the treatment's values.
        control: the control's values.
        level: ℓ in (0, 1), .99 for the p99.
        alpha: one minus the confidence of the interval, in (0, 1).
        method: for one look at an end fixed beforehand, or for many.

    Returns:
        The difference, or `Insufficient` when either variant has values in fewer than 10 replicates, too
        few values beyond the quantile to limit it, or too uneven replicates for looking always.
    """
    check_alpha(alpha)
    of_treatment, of_control = _fraction_below(treatment, level), _fraction_below(control, level)
    found = contrast(of_treatment, of_control)
    if isinstance(found, Insufficient):
        return found
    if method is Method.SEQUENTIAL:
        of_treatment = _begun(of_treatment, treatment.n, level)
        of_control = _begun(of_control, control.n, level)
        reach = boundary(found.sample_size, alpha)
    else:
        reach = -float(stdtrit(found.degrees, alpha / 2.0))
    t = _limits(treatment, of_treatment, level, reach)
    c = _limits(control, of_control, level, reach)
    if isinstance(t, Insufficient):
        return Insufficient(f"treatment: {t.reason}")
    if isinstance(c, Insufficient):
        return Insufficient(f"control: {c.reason}")
    point = t.point - c.point
    lower = point - math.hypot(t.point - t.lower, c.upper - c.point)
    upper = point + math.hypot(t.upper - t.point, c.point - c.lower)
    return QuantileDifference(
        level=level,
        treatment=t.point,
        control=c.point,
        point=point,
        interval=Interval(lower, upper, 1.0 - alpha),
        method=method,
        sample_size=treatment.n + control.n,
    )


@dataclass(frozen=True, slots=True)
class _Limits:
    lower: float
    point: float
    upper: float


def _fraction_below(sketch: ReplicatedSketch, level: float) -> Estimate | Insufficient:
    """The fraction of values at or below the quantile, which is `level`, with its cluster-robust variance.

    Of the cell that holds the quantile each replicate gives the same part, so that the fraction is exact.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"the level of a quantile lies in (0, 1), not {level}")
    values = sketch.counts.sum(axis=1)
    if (filled := int(np.count_nonzero(values))) < MINIMUM_REPLICATES:
        return Insufficient(f"{filled} of {len(values)} replicates have values, {MINIMUM_REPLICATES} needed")
    where, part = _place(sketch, level)
    below = sketch.counts[:, :where].sum(axis=1) + part * sketch.counts[:, where]
    return bucketed_mean(BucketSums.of(values, below))


def _begun(fraction: Estimate | Insufficient, n: int, level: float) -> Estimate | Insufficient:
    if isinstance(fraction, Insufficient):
        return fraction
    if (beyond := min(level, 1.0 - level) * n) < MINIMUM_BEYOND:
        return Insufficient(
            f"of {n} values {math.floor(beyond)} lie beyond the quantile at {level:g}; "
            f"a confidence sequence begins at {MINIMUM_BEYOND}"
        )
    if fraction.degrees >= MINIMUM_SEQUENTIAL_DEGREES:
        return fraction
    return Insufficient(
        f"the replicates weigh as much as {fraction.degrees + 1.0:.1f} of equal size; "
        f"a confidence sequence begins at {MINIMUM_SEQUENTIAL_DEGREES + 1}"
    )


def _limits(
    sketch: ReplicatedSketch, fraction: Estimate | Insufficient, level: float, reach: float
) -> _Limits | Insufficient:
    if isinstance(fraction, Insufficient):
        return fraction
    width = reach * fraction.standard_error / (level * (1.0 - level))
    low, high = (float(expit(logit(level) + shift)) for shift in (-width, width))
    if min(low, 1.0 - high) * sketch.n < 1.0:
        return Insufficient(f"{sketch.n} values are too few to limit the quantile at {level:g}")
    return _Limits(*(_value_at(sketch, at) for at in (low, level, high)))


def _value_at(sketch: ReplicatedSketch, level: float) -> float:
    """The quantile, interpolated within its cell: at most 2 % from the exact one, usually far closer."""
    where, part = _place(sketch, level)
    low, high = cell_edges(sketch.cells[where])
    if low * high > 0.0:
        return float(np.sign(low) * np.abs(low) ** (1.0 - part) * np.abs(high) ** part)
    return 0.0


def _place(sketch: ReplicatedSketch, level: float) -> tuple[int, float]:
    """The cell in which a fraction `level` of all values is reached, and the part of it that is needed."""
    reached = sketch.counts.sum(axis=0).cumsum()
    wanted = level * float(reached[-1])
    where = min(int(np.searchsorted(reached, wanted)), len(reached) - 1)
    before = float(reached[where - 1]) if where else 0.0
    return where, (wanted - before) / (float(reached[where]) - before)
