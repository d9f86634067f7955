"""Outcomes as they are gathered, and the columns they become: one pass over many instead of many over one.

The loop over outcomes only decides what depends on their order (what is the first of its unit, where a
latency lies) and notes it as a number. Everything that adds up is added up in columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.domain.status import OutcomeStatus
from services.messaging.codec import OutcomeView
from services.workers.latencies import BINS
from services.workers.lines import (
    FIRST_ERROR,
    FIRST_FILTER,
    FIRST_REQUEST,
    IS_ERROR,
    LATENCY_SHIFT,
    MULTIPLY_EXPOSED,
    Group,
    Line,
)
from services.workers.units import UnitLedger

Integers = NDArray[np.int64]
MISSING = -1
"""In a column: the outcome has no such value."""

LINE_COUNTS = 9 + BINS
"""The columns of ``Columns.by_line``: those of ``experiment_counts``, and multiply exposed units."""

BLOCK = 1_000
"""So many outcomes become columns at a time: they are in the processor's cache still, and the next ones get
their memory."""

ROW_BITS = 32

T = TypeVar("T")

_BUCKET_SHIFT = np.uint64(64 - 10)
_numbers = attrgetter("latency_us", "first_token_us", "prompt_tokens", "completion_tokens", "cost_nanos")
_status = attrgetter("status")
_unit = attrgetter("unit_hash")
_attributes = attrgetter("attributes")
_covariate = attrgetter("covariate")
_ERRORS = np.array(IS_ERROR)


class Report(NamedTuple):
    """A piece of feedback, for one of its lines. ``micros`` is its value in millionths."""

    line: Line
    unit_hash: int
    name: str
    micros: int
    is_first_true: bool
    attributes: dict[str, str]


class Block(NamedTuple):
    """Some outcomes as columns, and the marks of their lines."""

    groups: Integers
    statuses: NDArray[np.uint8]
    buckets: NDArray[np.uint64]
    marks: Integers
    latency: Integers
    first_token: Integers
    prompt_tokens: Integers
    completion_tokens: Integers
    cost: Integers


_NONE = np.empty(0, np.int64)
_NOTHING = Block(
    _NONE, np.empty(0, np.uint8), np.empty(0, np.uint64), _NONE, _NONE, _NONE, _NONE, _NONE, _NONE
)


@dataclass(slots=True)
class Observations:
    """What was gathered, in the order of the log. The numbers in ``groups`` point into ``open_groups``."""

    outcomes: list[OutcomeView] = field(default_factory=list)
    """The newest; those before are in ``blocks``."""
    groups: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    """One for each line of each outcome."""
    blocks: list[Block] = field(default_factory=list)
    settled: int = 0
    """How many outcomes the blocks hold."""
    attributes: dict[int, dict[str, str]] = field(default_factory=dict)
    """Those of settled outcomes that have any."""
    covariates: dict[int, float] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    open_groups: list[Group] = field(default_factory=list)
    group_keys: list[int] = field(default_factory=list)
    """The minute and row of each open group: ``tick << ROW_BITS | row``."""
    open_lines: list[Line] = field(default_factory=list)
    line_keys: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """Where the lines of each open group begin."""
    grown: set[Line] = field(default_factory=set)
    """Lines whose ledgers may have grown."""

    def __bool__(self) -> bool:
        return bool(self.size)

    @property
    def gathered(self) -> int:
        """How many outcomes."""
        return self.settled + len(self.outcomes)

    @property
    def size(self) -> int:
        """How many outcomes and reports."""
        return self.gathered + len(self.reports)

    def open(self, group: Group, stamp: object, tick: int) -> None:
        """Give the group, and its lines, a number here."""
        group.stamp, group.number = stamp, len(self.open_groups)
        minute = tick << ROW_BITS
        self.open_groups.append(group)
        self.group_keys.append(minute | group.row.number)
        self.starts.append(len(self.open_lines))
        for line in group.lines:
            self.open_lines.append(line)
            self.line_keys.append(minute | line.row.number)

    @property
    def ledgers(self) -> dict[tuple[int, UUID, int], UnitLedger]:
        """The ledgers that may have grown, by partition, experiment and phase."""
        return {(line.partition, line.experiment_id, line.phase): line.ledger for line in self.grown}

    def settle(self, at_least: int = BLOCK) -> None:
        """Turn outcomes into columns, where they are so many."""
        outcomes = self.outcomes
        if len(outcomes) < at_least:
            return
        numbers = zip(*map(_numbers, outcomes), strict=True)
        statuses = bytes(map(_status, outcomes))
        self.blocks.append(
            Block(
                np.array(self.groups, np.int64),
                np.frombuffer(statuses, np.uint8),
                np.array(list(map(_unit, outcomes)), np.uint64) >> _BUCKET_SHIFT,
                np.array(self.marks, np.int64),
                *map(_optional, numbers),
            )
        )
        self._keep(self.attributes, map(_attributes, outcomes))
        self._keep(self.covariates, map(_covariate, outcomes))
        self.settled += len(outcomes)
        self.outcomes, self.groups, self.marks = [], [], []

    def _keep(self, kept: dict[int, T], values: Iterable[T | None]) -> None:
        kept.update((at, value) for at, value in enumerate(values, self.settled) if value)

    def columns(self) -> Columns:
        """Return everything gathered as columns."""
        self.settle(at_least=1)
        if len(self.blocks) > 1:
            self.blocks = [Block(*map(np.concatenate, zip(*self.blocks, strict=True)))]
        block = self.blocks[0] if self.blocks else _NOTHING
        lengths = np.array([len(group.lines) for group in self.open_groups], np.int64)
        starts = np.array(self.starts, np.int64)
        pair_outcomes, pair_lines = _pairs(block.groups, lengths, starts)
        return Columns(
            observations=self,
            groups=block.groups,
            statuses=block.statuses.astype(np.int64),
            buckets=block.buckets.astype(np.int64),
            latency=block.latency,
            first_token=block.first_token,
            prompt_tokens=block.prompt_tokens,
            completion_tokens=block.completion_tokens,
            cost=block.cost,
            pair_outcomes=pair_outcomes,
            pair_lines=pair_lines,
            marks=block.marks,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Outcomes as columns. A *pair* is an outcome in one of its lines.

    Attributes:
        observations: what they were gathered in.
        groups, statuses, buckets, latency, …: shape (outcomes,).
        pair_outcomes, pair_lines, marks: shape (pairs,); indices of outcomes and of open lines, and marks.
    """

    observations: Observations
    groups: Integers
    statuses: Integers
    buckets: Integers
    latency: Integers
    first_token: Integers
    prompt_tokens: Integers
    completion_tokens: Integers
    cost: Integers
    pair_outcomes: Integers
    pair_lines: Integers
    marks: Integers

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Shape (outcomes,): which are errors of the variant."""
        failed: NDArray[np.bool_] = _ERRORS[self.statuses]
        return failed

    @property
    def filtered(self) -> NDArray[np.bool_]:
        """Shape (outcomes,): which a content filter cut off."""
        filtered: NDArray[np.bool_] = self.statuses == OutcomeStatus.CONTENT_FILTERED
        return filtered

    def by_group(self, rows: Integers) -> Integers:
        """Add up by open group, the columns of ``route_counts``.

        Args:
            rows: shape (open groups,), the row of the result that each group belongs to.
        """
        size, groups = int(rows.max(initial=-1)) + 1, rows[self.groups]
        sums = np.zeros((6, size), np.int64)
        sums[0] = np.bincount(groups, minlength=size)
        sums[1] = np.bincount(groups[self.failed], minlength=size)
        sums[2] = np.bincount(groups[self.filtered], minlength=size)
        np.add.at(sums[3], groups, self.latency)
        np.add.at(sums[4], groups, np.maximum(self.prompt_tokens, 0))
        np.add.at(sums[5], groups, np.maximum(self.completion_tokens, 0))
        return sums.T

    def by_line(self, rows: Integers) -> Integers:
        """Add up by open line, ``LINE_COUNTS`` columns.

        Args:
            rows: shape (open lines,), the row of the result that each line belongs to.
        """
        marks, size = self.marks, int(rows.max(initial=-1)) + 1
        lines = rows[self.pair_lines]
        failed, filtered = self.failed[self.pair_outcomes], self.filtered[self.pair_outcomes]
        first = (marks & FIRST_REQUEST).astype(bool)
        sums = np.zeros((LINE_COUNTS, size), np.int64)
        sums[0] = np.bincount(lines, minlength=size)
        counted = (
            failed,
            marks & FIRST_ERROR != 0,
            filtered,
            marks & FIRST_FILTER != 0,
            first,
            first & failed,
        )
        for column, mask in enumerate(counted, start=1):
            sums[column] = np.bincount(lines[mask], minlength=size)
        np.add.at(sums[7], lines, self.latency[self.pair_outcomes])
        bins = marks >> LATENCY_SHIFT
        for number in range(1, BINS + 1):
            sums[7 + number] = np.bincount(lines[bins == number], minlength=size)
        sums[8 + BINS] = np.bincount(lines[marks & MULTIPLY_EXPOSED != 0], minlength=size)
        return sums.T


def _pairs(groups: Integers, lengths: Integers, starts: Integers) -> tuple[Integers, Integers]:
    """Return the outcome and the open line of each pair."""
    outcomes = np.arange(len(groups))
    if not len(lengths) or (lengths == 1).all():
        return outcomes, starts[groups]
    times = lengths[groups]
    pair_outcomes = np.repeat(outcomes, times)
    place_in_group = np.arange(len(pair_outcomes)) - np.repeat(times.cumsum() - times, times)
    return pair_outcomes, starts[groups][pair_outcomes] + place_in_group


def _optional(values: tuple[int | None, ...]) -> Integers:
    missing = values.count(None)
    if missing == len(values):
        return np.full(missing, MISSING, np.int64)
    if missing:
        return np.array([MISSING if value is None else value for value in values], np.int64)
    return np.array(values, np.int64)
