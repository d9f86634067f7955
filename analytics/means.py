"""The mean of independent samples, out of three sums.

With n samples x: m = Σx/n and Var(m) = (Σx² − (Σx)²/n)/(n−1)/n. This is for samples that are independent,
one for each unit; for the requests of units that come back see `analytics.buckets`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from analytics.estimates import Estimate
from analytics.results import Insufficient

_ROUNDING = 1e-12  # of Σx²: less than this between Σx² and (Σx)²/n is not variation


@dataclass(frozen=True, slots=True)
class SampleSums:
    """Sums over independent samples of one variant; merges with `+`.

    Attributes:
        n: how many samples.
        total: Σx, in the metric's unit.
        squares: Σx², in the unit squared.
    """

    n: int
    total: float
    squares: float

    def __post_init__(self) -> None:
        if self.n < 0 or not math.isfinite(self.total) or not 0.0 <= self.squares < math.inf:
            raise ValueError(f"sums are finite and counts not negative: {self}")

    def __add__(self, other: Self) -> Self:
        return type(self)(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The sums of these samples."""
        array = np.fromiter(values, np.float64)
        return cls(len(array), float(array.sum()), float(array @ array))


def sample_mean(sums: SampleSums) -> Estimate | Insufficient:
    """The mean of independent samples.

    Returns:
        The estimate with n − 1 degrees of freedom, or `Insufficient` with fewer than two samples.
    """
    if sums.n < 2:
        return Insufficient(f"{sums.n} samples, 2 needed for a mean with a variance")
    mean = sums.total / sums.n
    spread = sums.squares - sums.total * mean
    if spread <= _ROUNDING * sums.squares:
        spread = 0.0
    return Estimate(mean, spread / (sums.n - 1) / sums.n, sums.n, sums.n - 1)
