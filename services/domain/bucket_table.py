"""Sums by analysis bucket of one variant, as whole numbers, and how they are stored with a decision."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from services.domain.assignment import ANALYSIS_BUCKETS

Integers = NDArray[np.int64]

WHOLE = ""
"""The segment that holds everything."""

SHARE = "share="
"""What the segments of a canary begin with: one for each share its treatment had, in basis points.

A treatment that is ramped up serves most of its requests late. Whatever hits both variants then weighs more
in the treatment's plain sums than in the control's, so the sums of a ramp are kept by share.
"""


def share_segment(share_bp: int) -> str:
    """Return the segment of what was counted while the treatment of a canary had this share."""
    return f"{SHARE}{share_bp}"


class BucketTable:
    """For each column the number of values in each analysis bucket, and their sum.

    ``sums`` has the shape (columns, 2, ``ANALYSIS_BUCKETS``): ``sums[c, 0]`` is the number of values,
    ``sums[c, 1]`` their sum in the whole numbers of the column's source. It is never changed once made.
    """

    __slots__ = ("columns", "sums")

    def __init__(self, columns: tuple[str, ...], sums: Integers) -> None:
        if sums.shape != (len(columns), 2, ANALYSIS_BUCKETS):
            raise ValueError(f"sums of {len(columns)} columns have another shape than {sums.shape}")
        self.columns = columns
        self.sums = sums

    def __add__(self, other: Self) -> Self:
        if self.columns != other.columns:
            raise ValueError("only sums of the same columns add up")
        return type(self)(self.columns, self.sums + other.sums)

    @classmethod
    def empty(cls, columns: tuple[str, ...]) -> Self:
        """Nothing counted yet."""
        return cls(columns, np.zeros((len(columns), 2, ANALYSIS_BUCKETS), np.int64))

    def has(self, column: str) -> bool:
        """Say whether the column is summed."""
        return column in self.columns

    def n(self, column: str) -> Integers:
        """Shape (buckets,): the number of values of the column."""
        plane: Integers = self.sums[self.columns.index(column), 0]
        return plane

    def total(self, column: str) -> Integers:
        """Shape (buckets,): the sum of the column, in its source's whole numbers."""
        plane: Integers = self.sums[self.columns.index(column), 1]
        return plane

    def only(self, columns: tuple[str, ...]) -> BucketTable:
        """These columns, those of them that there are."""
        kept = tuple(column for column in columns if column in self.columns)
        if kept == self.columns:
            return self
        return BucketTable(kept, self.sums[[self.columns.index(column) for column in kept]])

    def pack(self) -> dict[str, Any]:
        """As JSON. Most bytes of the numbers are 0, so they are laid out byte by byte and compressed."""
        return {"columns": list(self.columns), "sums": pack_integers(self.sums)}

    @classmethod
    def unpack(cls, packed: dict[str, Any]) -> Self:
        """Read ``pack``ed sums back."""
        columns = tuple(packed["columns"])
        return cls(columns, unpack_integers(packed["sums"]).reshape(len(columns), 2, ANALYSIS_BUCKETS))


def pack_integers(numbers: Integers) -> str:
    """Return 64-bit integers of any shape as a short text."""
    by_place = np.ascontiguousarray(numbers).astype(">i8").view(np.uint8).reshape(-1, 8).T
    return base64.b64encode(zlib.compress(by_place.tobytes(), 6)).decode()


def unpack_integers(text: str) -> Integers:
    """Read ``pack_integers`` back, as one dimension."""
    by_place = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(8, -1)
    return np.ascontiguousarray(by_place.T).view(">i8").ravel().astype(np.int64)
