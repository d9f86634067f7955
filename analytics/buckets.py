"""Means and ratios of correlated requests, from sums over analysis buckets, without any state per unit.

Every unit falls by its hash into one of B analysis buckets, so all its observations are in one bucket and
the differences between buckets carry the correlation within units. With n_b and s_b the count and the sum
of bucket b, over the B buckets that are not empty (n_b or s_b is not 0):

    m = Σs/Σn,   e_b = s_b − m·n_b,   h_b = n_b/Σn,   Var(m) = (B−1)/B·Σ(e_b/(1−h_b))²/(Σn)²

The same sums serve a mean over requests (n_b = requests), a ratio of two sums such as cost per token
(n_b = tokens) and a mean over units (n_b = exposed units). In a ratio a bucket may have a sum and nothing
it is divided by: failures of a user who had no success are failures. Leaving it out would flatter whoever
fails.

**Leverage.** A bucket with much of all n pulls m towards itself, so its residual is smaller than its error
was: of an error ε_b, e_b keeps (1 − h_b)·ε_b. Dividing by 1 − h_b puts that back, and is the same as leaving
the bucket out. Without bucket b the mean is m₋b = (Σs − s_b)/(Σn − n_b), and

    m₋b − m = −e_b/(Σn − n_b) = −e_b/(1−h_b)/Σn,   so that   Var(m) = (B−1)/B·Σ(m₋b − m)²,

the jackknife over buckets. When all buckets are equal, 1 − h_b = (B−1)/B, and what is left is the variance
of a ratio between clusters without leverage, B/(B−1)·Σe_b²/(Σn)² (Cochran 1977, Sampling Techniques, ch. 6;
Deng, Knoblich & Lu 2018, arXiv:1803.06336).

Sources: MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7, for single observations (HC3; HC2 divides
by √(1−h)); Bell & McCaffrey 2002, Survey Methodology 28(2), for clusters.

**Degrees of freedom.** Where a few users send most of the requests, a few buckets decide, and the variance
is known less well than B − 1 degrees would say. So the degrees are those of as many buckets of equal size as
would weigh the same, (Σn)²/Σn² − 1 (Kish 1965, Survey Sampling), which is B − 1 when all are equal.

How often 95 % intervals miss with few and heavy users is in docs/decisions/0013-leverage-of-heavy-buckets.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytics.betting import Floats
from analytics.estimates import Estimate
from analytics.results import Insufficient

ANALYSIS_BUCKETS = 1_024
"""How many analysis buckets units are spread over."""

MINIMUM_EVENT_BUCKETS = 5
"""Buckets in which a binary outcome, and its absence, must have been seen. Events are counted by bucket
since twenty of one unit say no more than one."""

MINIMUM_CONTRIBUTORS = 15
"""As how many buckets of equal residuals those of a mean or ratio must say as much before it is compared."""

_ROUNDING = 1e-12  # of the sums: residuals smaller than this are not variation


@dataclass(frozen=True, eq=False, slots=True)
class BucketSums:
    """Sums of one metric in one variant, bucket by bucket; those of several stretches merge with `+`.

    Attributes:
        n: shape (B,), the denominator: requests, tokens or exposed units of each bucket, ≥ 0.
        s: shape (B,), the sum of the metric, in its unit; of a ratio also where n is 0.
        x: shape (B,), the sum of a covariate from before the experiment over the same n; None without one.
        total_n: Σn.
        total: Σs.
    """

    n: Floats
    s: Floats
    x: Floats | None = None
    total_n: float = field(init=False)
    total: float = field(init=False)

    def __post_init__(self) -> None:
        columns = [self.n, self.s] if self.x is None else [self.n, self.s, self.x]
        if self.n.ndim != 1 or any(column.shape != self.n.shape for column in columns):
            raise ValueError("n, s and x are one-dimensional and of the same length")
        object.__setattr__(self, "total_n", float(self.n.sum()))
        object.__setattr__(self, "total", float(self.s.sum()))
        # A sum is finite only if all that is added up is.
        if not (
            math.isfinite(self.total_n)
            and math.isfinite(self.total)
            and (self.x is None or math.isfinite(self.x.sum()))
        ):
            raise ValueError("n, s and x are finite numbers")
        if (self.n < 0.0).any():
            raise ValueError(f"denominators are not negative, but one is {self.n.min()}")
        if self.x is not None and self.x[self.n == 0.0].any():
            raise ValueError("a bucket with n = 0 has no covariate either")

    def __add__(self, other: Self) -> Self:
        if self.n.shape != other.n.shape or (self.x is None) != (other.x is None):
            raise ValueError("only sums over the same buckets, both with a covariate or both without, add up")
        x = None if self.x is None or other.x is None else self.x + other.x
        return type(self)(self.n + other.n, self.s + other.s, x)

    @classmethod
    def of(cls, n: ArrayLike, s: ArrayLike, x: ArrayLike | None = None) -> Self:
        """From anything that becomes arrays of shape (B,)."""
        covariate = None if x is None else np.asarray(x, np.float64)
        return cls(np.asarray(n, np.float64), np.asarray(s, np.float64), covariate)

    @classmethod
    def from_rows(
        cls,
        buckets: Sequence[int] | NDArray[np.integer],
        n: ArrayLike,
        s: ArrayLike,
        x: ArrayLike | None = None,
        *,
        size: int = ANALYSIS_BUCKETS,
    ) -> Self:
        """From rows (bucket, n, s[, x]) in any order and with repetitions; buckets without a row are empty.

        Raises:
            ValueError: a bucket outside [0, size).
        """
        where = np.asarray(buckets, np.intp)
        if len(where) and not 0 <= where.min() <= where.max() < size:
            raise ValueError(f"buckets lie in [0, {size}), not {where.min()} to {where.max()}")

        def gathered(values: ArrayLike) -> Floats:
            return np.bincount(where, np.asarray(values, np.float64), minlength=size).astype(np.float64)

        return cls(gathered(n), gathered(s), None if x is None else gathered(x))

    @property
    def filled(self) -> int:
        """In how many buckets there is something to divide by."""
        return int(np.count_nonzero(self.n))


def bucketed_mean(sums: BucketSums, *, sample_size: float | None = None) -> Estimate | Insufficient:
    """The cluster-robust mean Σs/Σn.

    Args:
        sums: the sums of one variant.
        sample_size: the clock of a confidence sequence over this mean (see `analytics.sequential`); by
            default Σn, which is right for means over requests and over units. For a ratio such as cost
            per token give the number of requests: a clock that runs in tokens makes needlessly wide
            intervals.

    Returns:
        The estimate, or `Insufficient` with fewer than two buckets that have something to divide by.
    """
    if (few := too_few_buckets(sums, 2)) is not None:
        return few
    mean = sums.total / sums.total_n
    variance = residual_variance(sums.s - mean * sums.n, sums)
    clock = sums.total_n if sample_size is None else sample_size
    return Estimate(mean, variance, clock, effective_degrees(sums))


def bucketed_rate(sums: BucketSums) -> Estimate | Insufficient:
    """The cluster-robust rate of a binary outcome: n = requests, s = events of each bucket.

    Returns:
        The estimate, or `Insufficient` while events, or their absence, were seen in fewer than 5 buckets.
        With less than that the estimated variance follows the estimated rate, and a confidence sequence
        with 5 % of the traffic told 7–8 % of equal variants apart instead of 0–3 %; the exact evidence of
        `analytics.two_sided` has no such condition.

    Raises:
        ValueError: a bucket with more events than requests.
    """
    if ((sums.s < 0.0) | (sums.s > sums.n)).any():
        raise ValueError("every bucket has 0 <= events <= requests")
    return too_few_events(sums) or bucketed_mean(sums)


def too_few_events(sums: BucketSums) -> Insufficient | None:
    """Say so while a binary outcome, or its absence, was seen in fewer than 5 buckets (`bucketed_rate`)."""
    for what, seen in (("events", sums.s > 0.0), ("samples without an event", sums.s < sums.n)):
        if (count := int(np.count_nonzero(seen))) < MINIMUM_EVENT_BUCKETS:
            return Insufficient(f"{what} in {count} analysis buckets, {MINIMUM_EVENT_BUCKETS} needed")
    return None


def too_few_contributors(sums: BucketSums) -> Insufficient | None:
    """Say so while what is known of how much values vary comes from a few buckets with large ones.

    (Σe²)²/Σe⁴ is as how many buckets of equal residuals would say as much. Of skewed values, such as costs,
    a variant with little traffic lacks the large ones at first: its mean is low, and its estimated variance
    with it. With 5 % of the traffic 8–10 % of equal variants were told apart at α = .05, and at most 5 % with
    this condition.
    """
    if not sums.total_n:
        return None
    squared = (sums.s - sums.total / sums.total_n * sums.n) ** 2
    fourth = float(squared @ squared)
    if fourth == 0.0 or (alike := float(squared.sum()) ** 2 / fourth) >= MINIMUM_CONTRIBUTORS:
        return None
    return Insufficient(
        f"a few large values decide so far: how much values vary is known from as much as {alike:.0f} equal "
        f"analysis buckets, {MINIMUM_CONTRIBUTORS} needed"
    )


def residual_variance(residuals: Floats, sums: BucketSums) -> float:
    """(B−1)/B·Σ(e/(1−h))²/(Σn)² over the B ≥ 2 non-empty buckets; 0 where nothing but rounding is left.

    Args:
        residuals: shape (B,), e_b = s_b where n_b is 0.
        sums: the sums they belong to.
    """
    if float(residuals @ residuals) <= _ROUNDING**2 * float(sums.s @ sums.s):
        return 0.0
    without = sums.total_n - sums.n  # Σn·(1−h); 0 only beside a bucket that leaves nothing but rounding
    without[without <= 0.0] = math.inf
    shifts = residuals / without
    b = int(np.count_nonzero((sums.n != 0.0) | (sums.s != 0.0)))
    return (b - 1) / b * float(shifts @ shifts)


def effective_degrees(sums: BucketSums) -> float:
    """(Σn)²/Σn² − 1, and at least 1."""
    return max(1.0, sums.total_n**2 / float(sums.n @ sums.n) - 1.0)


def too_few_buckets(sums: BucketSums, needed: int) -> Insufficient | None:
    """Say so when fewer than `needed` buckets have anything to divide by."""
    if sums.filled >= needed:
        return None
    return Insufficient(f"{sums.filled} analysis buckets have observations, {needed} needed")
