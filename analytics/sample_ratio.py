"""Did the units arrive in the proportions they were assigned in? Through ramps, and looked at always.

Each new unit is one observation A (1 when it came to the variant in question) with the probability w that
was in force when it was assigned. Under H0 a stake multiplied by 1 + λ(A − w) wins nothing on average,
whatever w was, so a changed split never raises an alarm by itself. The bets are on odds that are r times
what they should be: with λ = (r−1)/(1+w(r−1)) the factors are r/(1+w(r−1)) for a unit of the variant and
1/(1+w(r−1)) for any other. Half of the ratios are above 1 and half below. E is their mean, and
P(E ever ≥ 1,000) ≤ .001 (Ville's inequality).

With more than two variants there is one such test for each, and each needs as many times the threshold
(Bonferroni). A variant that was not served while its weight was 0 counts nowhere.

Source: Lindon & Malek 2020, arXiv:2011.03567 (sequential tests of multinomial counts), in betting form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from analytics.betting import log_sum
from analytics.results import Insufficient

THRESHOLD = 1_000.0
"""E from which a sample ratio mismatch is flagged."""

_ABOVE = (1.003, 1.01, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 4.0, 16.0)
ODDS_RATIOS = (*_ABOVE, *(1.0 / ratio for ratio in _ABOVE))
"""How many times the odds should be what they are, in the bets."""


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """New units while one split was in force; those of the same split merge with `+`.

    Attributes:
        shares: w of every variant, in the experiment's order, ≥ 0; they are scaled to add up to 1.
        units: how many new units came to each.
    """

    shares: tuple[float, ...]
    units: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.units) or len(self.shares) < 2:
            raise ValueError("a split has a share and a count for each of at least 2 variants")
        if not all(0.0 <= share < math.inf for share in self.shares) or sum(self.shares) <= 0.0:
            raise ValueError(f"shares are not negative and not all 0: {self.shares}")
        if min(self.units) < 0:
            raise ValueError(f"counts are not negative, but one is {min(self.units)}")

    def __add__(self, other: Self) -> Self:
        if self.shares != other.shares:
            raise ValueError("only counts of the same split can be added; keep them as two rows")
        return type(self)(self.shares, tuple(a + b for a, b in zip(self.units, other.units, strict=True)))


@dataclass(frozen=True, slots=True)
class VariantRatio:
    """How one variant's units compare with its share.

    Attributes:
        units: new units that came to it while its share was in (0, 1).
        expected: how many should have, on average.
        log_e_value: natural logarithm of E now.
    """

    units: int
    expected: float
    log_e_value: float


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether the units arrived as they were assigned.

    Attributes:
        variants: one for each variant, in the experiment's order; None for one that was never tested.
        tests: how many tests share the error budget; 1 with two variants, which mirror each other.
        threshold: E at which a single test flags; each of several needs `tests` times as much.
    """

    variants: tuple[VariantRatio | None, ...]
    tests: int
    threshold: float

    @property
    def log_e_value(self) -> float:
        """The largest log E of any variant, less the logarithm of the number of tests."""
        return max(ratio.log_e_value for ratio in self.variants if ratio) - math.log(self.tests)

    @property
    def flagged(self) -> bool:
        """Whether there is a mismatch: results of this experiment should not be believed."""
        return self.log_e_value >= math.log(self.threshold)

    @property
    def p_value(self) -> float:
        """1/E, corrected for the number of tests, in (0, 1]."""
        return math.exp(-min(max(self.log_e_value, 0.0), 700.0))


def sample_ratio(
    splits: Sequence[SplitCounts], *, threshold: float = THRESHOLD
) -> SampleRatio | Insufficient:
    """Test all new units of an experiment against the splits they were assigned by.

    Args:
        splits: one row for each split that was in force, in any order, all with the same variants.
        threshold: 1/α of the whole, ≥ 1.

    Returns:
        The result, or `Insufficient` when no unit was assigned while at least two variants were served.
    """
    if not threshold >= 1.0:
        raise ValueError(f"threshold is an e-value of at least 1, not {threshold}")
    if len({len(split.shares) for split in splits}) > 1:
        raise ValueError("all rows have the same variants")
    usable = [split for split in splits if sum(share > 0.0 for share in split.shares) >= 2]
    if not usable:
        return Insufficient("no units yet while at least two variants were served")
    by_split = dict[tuple[float, ...], SplitCounts]()
    for split in usable:
        by_split[split.shares] = by_split[split.shares] + split if split.shares in by_split else split
    # One row for each split, in order: sums of floats are the same to the bit however the rows came.
    rows = [by_split[split] for split in sorted(by_split)]
    shares = np.array([row.shares for row in rows])
    shares /= shares.sum(axis=1, keepdims=True)
    units = np.where(shares > 0.0, np.array([row.units for row in rows]), 0)
    if not units.any():
        return Insufficient("no units yet while at least two variants were served")
    ratios = [_variant(units[:, v], units.sum(axis=1), shares[:, v]) for v in range(shares.shape[1])]
    tested = sum(ratio is not None for ratio in ratios)
    return SampleRatio(tuple(ratios), 1 if tested == 2 else tested, threshold)


def log_ratio_evidence(inside: ArrayLike, outside: ArrayLike, shares: ArrayLike) -> float:
    """log E of one variant's test.

    Args:
        inside: shape (n,), new units of the variant in each row.
        outside: shape (n,), new units of all others.
        shares: shape (n,), the variant's w in (0, 1).
    """
    excess = np.asarray(ODDS_RATIOS) - 1.0
    w = np.asarray(shares, np.float64)[:, None]
    scale = np.log1p(w * excess)
    gained = np.asarray(inside, np.float64) @ (np.log1p(excess) - scale)
    gained -= np.asarray(outside, np.float64) @ scale
    return float(log_sum(gained)) - math.log(len(ODDS_RATIOS))


def _variant(inside: ArrayLike, everyone: ArrayLike, shares: ArrayLike) -> VariantRatio | None:
    inside, everyone, w = np.asarray(inside), np.asarray(everyone), np.asarray(shares)
    served = w > 0.0
    if not everyone[served].any():
        return None
    inside, everyone, w = inside[served], everyone[served], w[served]
    log_e_value = log_ratio_evidence(inside, everyone - inside, w)
    return VariantRatio(int(inside.sum()), float(everyone @ w), log_e_value)
