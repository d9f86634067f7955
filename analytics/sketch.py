"""A histogram on a logarithmic scale: mergeable counts from which quantiles come within 1 %.

A value x > 0 falls into cell i = ⌈log_γ x⌉ with γ = (1+a)/(1−a), a = 0.01, and is given back as
2γ^i/(γ+1), which is at most a·x away. Zero has a cell of its own, and negative values mirror the positive
ones. Cells are numbered in the order of their values, so a sketch is two columns, (cell, count), and
sketches merge by adding counts.

Source: DDSketch, Masson, Rim & Lee 2019, doi:10.14778/3352063.3352135.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytics.betting import Floats
from analytics.results import Insufficient

RELATIVE_ERROR = 0.01
"""a: how far, as a fraction, a quantile may be away from the value it stands for."""

_LOG_GAMMA = math.log1p(RELATIVE_ERROR) - math.log1p(-RELATIVE_ERROR)
_MIDDLE = 1 << 17  # beyond |⌈log_γ x⌉ ≤ 37,300 of any float, so that both signs keep their order

Integers = NDArray[np.int64]


def cells_of(values: ArrayLike) -> Integers:
    """The cell of each value, an integer in the order of the values; 0 is the cell of zero.

    Args:
        values: shape (n,), finite numbers in the metric's unit.

    Raises:
        ValueError: a value that is not finite.
    """
    x = np.asarray(values, np.float64)
    if not np.isfinite(x).all():
        raise ValueError("a sketch holds finite numbers only")
    magnitude = np.abs(x)
    with np.errstate(divide="ignore"):
        log = np.where(magnitude > 0.0, np.log(magnitude), 0.0)
    cells: Integers = (np.sign(x) * (np.ceil(log / _LOG_GAMMA) + _MIDDLE)).astype(np.int64)
    return cells


def cell_values(cells: ArrayLike) -> Floats:
    """The value that stands for each cell, at most 1 % from everything in it."""
    return _value_at(np.asarray(cells, np.int64), np.log(2.0) - np.log1p(math.exp(_LOG_GAMMA)))


def cell_edges(cells: ArrayLike) -> tuple[Floats, Floats]:
    """The smallest and the largest value of each cell."""
    whole = np.asarray(cells, np.int64)
    inner, outer = _value_at(whole, -_LOG_GAMMA), _value_at(whole, 0.0)
    return np.minimum(inner, outer), np.maximum(inner, outer)


@dataclass(frozen=True, eq=False, slots=True)
class Sketch:
    """Counts by cell; sketches merge with `+`.

    Attributes:
        cells: shape (k,), increasing.
        counts: shape (k,), > 0.
    """

    cells: Integers
    counts: Integers

    def __add__(self, other: Self) -> Self:
        return type(self).from_rows(
            np.concatenate([self.cells, other.cells]), np.concatenate([self.counts, other.counts])
        )

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """The sketch of these values."""
        cells, counts = np.unique(cells_of(values), return_counts=True)
        return cls(cells, counts.astype(np.int64))

    @classmethod
    def from_rows(cls, cells: ArrayLike, counts: ArrayLike) -> Self:
        """From rows (cell, count) in any order and with repetitions."""
        distinct, where = np.unique(np.asarray(cells, np.int64), return_inverse=True)
        given = np.asarray(counts, np.int64)
        if (given < 0).any():
            raise ValueError(f"counts are not negative, but one is {given.min()}")
        summed = np.zeros(len(distinct), np.int64)
        np.add.at(summed, where, given)
        return cls(distinct[summed > 0], summed[summed > 0])

    @property
    def n(self) -> int:
        """How many values."""
        return int(self.counts.sum())

    def quantile(self, level: float) -> float | Insufficient:
        """The value below which a fraction `level` of all values lies, within 1 % of it.

        Args:
            level: in [0, 1].
        """
        if not 0.0 <= level <= 1.0:
            raise ValueError(f"the level of a quantile lies in [0, 1], not {level}")
        if not len(self.cells):
            return Insufficient("no values, so no quantiles")
        rank = level * (self.n - 1)
        where = int(np.searchsorted(self.counts.cumsum(), rank, side="right"))
        return float(cell_values(self.cells[where]))


def _value_at(cells: Integers, shift: float) -> Floats:
    """exp(i·log γ + shift) with the sign of the cell, 0 for the cell of zero."""
    exponent = (np.abs(cells) - _MIDDLE) * _LOG_GAMMA + shift
    magnitude = np.exp(np.where(cells == 0, 0.0, exponent))
    signed: Floats = np.sign(cells) * magnitude
    return signed
