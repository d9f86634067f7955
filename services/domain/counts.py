"""Counts of an experiment as columns: what ``experiment_counts`` holds, in the form it is computed with.

An experiment of a day has thousands of rows. They are kept as one matrix of whole numbers, so that a test
over all of them is a few array operations, and written as a list of rows where a decision is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats
from analytics.columns import Columns, gathered
from analytics.results import Insufficient
from services.domain.assignment import BASIS_POINTS
from services.domain.events import Role

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class CountRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of ``experiment_counts``: what one variant did in one minute at one treatment share.

    The order is that of ``Count`` and of stored decisions: add at the end, with a default.
    ``variant_index`` -1 means that the role says it all. The last six are first requests that succeeded, by
    how many of the control's latency quantiles they exceed.
    """

    tick: int
    treatment_share_bp: int
    role: Role
    requests: int
    errors: int
    first_errors: int
    content_filters: int
    first_content_filters: int
    first_requests: int
    first_request_errors: int
    variant_index: int = -1
    latency_below_p50: int = 0
    latency_p50_to_p75: int = 0
    latency_p75_to_p90: int = 0
    latency_p90_to_p95: int = 0
    latency_p95_to_p99: int = 0
    latency_above_p99: int = 0


class Count(IntEnum):
    """The columns of a ``CountTable``: the fields of a ``CountRow``, in order."""

    TICK = 0
    SHARE_BP = 1
    ROLE = 2
    REQUESTS = 3
    ERRORS = 4
    FIRST_ERRORS = 5
    CONTENT_FILTERS = 6
    FIRST_CONTENT_FILTERS = 7
    FIRST_REQUESTS = 8
    FIRST_REQUEST_ERRORS = 9
    VARIANT = 10
    LATENCY = 11


LATENCY_BINS = 6
WIDTH = Count.LATENCY + LATENCY_BINS


class CountTable:
    """Counts as a matrix of shape (``WIDTH``, rows), a column of the table in each row; never changed."""

    __slots__ = ("cells",)

    def __init__(self, cells: Integers) -> None:
        self.cells = cells

    @classmethod
    def of(cls, rows: Iterable[CountRow]) -> Self:
        """From rows in any order."""
        return cls.from_lists([list(msgspec.structs.astuple(row)) for row in rows])

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> Self:
        """From rows as a decision stores them; those of an older method are shorter."""
        cells = np.zeros((WIDTH, len(rows)), np.int64)
        cells[Count.VARIANT] = -1
        for place, row in enumerate(rows):
            cells[: len(row), place] = row
        unnamed = cells[Count.VARIANT] < 0
        cells[Count.VARIANT, unnamed] = cells[Count.ROLE, unnamed]
        return cls(cells)

    def to_lists(self) -> list[list[int]]:
        """As a decision stores them, in order of tick, share and variant."""
        order = np.lexsort((self[Count.VARIANT], self[Count.SHARE_BP], self[Count.TICK]))
        rows: list[list[int]] = self.cells[:, order].T.tolist()
        return rows

    def __len__(self) -> int:
        return int(self.cells.shape[1])

    def __getitem__(self, column: int) -> Integers:
        counts: Integers = self.cells[column]
        return counts

    def only(self, rows: Mask) -> CountTable:
        """These rows."""
        return self if rows.all() else CountTable(self.cells.compress(rows, axis=1))

    def of_role(self, role: Role) -> Mask:
        """Which rows are of the control, or of a treatment."""
        mask: Mask = self[Count.ROLE] == role
        return mask

    def of_variant(self, index: int) -> Mask:
        """Which rows are of the variant at this place of the definition."""
        mask: Mask = self[Count.VARIANT] == index
        return mask

    def sums(self, rows: Mask) -> Integers:
        """Shape (``WIDTH``,): the columns of these rows, added up."""
        added: Integers = self.cells.compress(rows, axis=1).sum(axis=1)
        return added

    @property
    def shares(self) -> Floats:
        """The treatment's share in force when each row was counted, a fraction."""
        shares: Floats = self[Count.SHARE_BP] / BASIS_POINTS
        return shares

    @property
    def compared(self) -> Mask:
        """Which rows were counted while both roles were served: the others compare nothing."""
        shares = self[Count.SHARE_BP]
        mask: Mask = (shares > 0) & (shares < BASIS_POINTS)
        return mask


def event_columns(
    table: CountTable, shares: Floats, events: Integers, others: Integers
) -> Columns | Insufficient:
    """Gather tested observations of treatment and control.

    Args:
        table: the rows.
        shares: shape (rows,), the treatment's share of what both got, in (0, 1).
        events: shape (rows,), tested events.
        others: shape (rows,), tested observations without the event.
    """
    is_treatment = table.of_role(Role.TREATMENT)
    observed = np.stack([np.where(is_treatment, events, 0), np.where(is_treatment, 0, events), others])
    return gathered(table[Count.TICK], shares, observed)


def first_errors(table: CountTable) -> tuple[Integers, Integers]:
    """Each unit's first error, and every request without one: later errors are shown, never tested."""
    return table[Count.FIRST_ERRORS], table[Count.REQUESTS] - table[Count.ERRORS]


def first_content_filters(table: CountTable) -> tuple[Integers, Integers]:
    """Each unit's first filtered answer, and every request without one."""
    return table[Count.FIRST_CONTENT_FILTERS], table[Count.REQUESTS] - table[Count.CONTENT_FILTERS]


def first_requests(table: CountTable) -> tuple[Integers, Integers]:
    """Each unit's first request of the phase: how many failed, and how many did not."""
    return (
        table[Count.FIRST_REQUEST_ERRORS],
        table[Count.FIRST_REQUESTS] - table[Count.FIRST_REQUEST_ERRORS],
    )


def latencies(table: CountTable, shares: Floats) -> Columns | Insufficient:
    """Gather first requests by latency: the treatment's six bins, then the control's."""
    is_treatment = table.of_role(Role.TREATMENT)
    by_role = np.stack([is_treatment, ~is_treatment]).astype(np.int64)
    observed = by_role[:, None] * table.cells[Count.LATENCY :]
    return gathered(table[Count.TICK], shares, observed.reshape(2 * LATENCY_BINS, len(table)))
