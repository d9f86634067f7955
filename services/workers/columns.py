"""A flush's outcomes as columns, with what was decided about them, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers
from services.storage.claims import UnitChunk, UnitEvent
from services.workers.latencies import BINS
from services.workers.ledgers import UnitLedger
from services.workers.lines import (
    FIRST_ERROR,
    FIRST_FILTER,
    FIRST_REQUEST,
    LATENCY_SHIFT,
    MULTIPLY_EXPOSED,
    Group,
    Line,
)
from services.workers.numbering import renumbered
from services.workers.observations import Block, Observations, Owner
from services.workers.units import Hashes

LINE_COUNTS = 9 + BINS
"""The columns of ``Columns.by_line``: those of ``experiment_counts``, and multiply exposed units."""

ROW_BITS = 32


@dataclass(slots=True)
class Opened:
    """The groups and lines of a flush, each once for every minute in which something counts there.

    Attributes:
        groups: by number.
        group_keys: the minute and row of each: ``tick << ROW_BITS | row``.
        starts: where the lines of each group begin.
        lines, line_keys: the same of lines.
        owners: the number of each line's owner, among those of the observations.
    """

    groups: list[Group]
    group_keys: list[int]
    starts: list[int]
    lines: list[Line]
    line_keys: list[int]
    owners: list[int]


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Outcomes as columns. A *pair* is an outcome in one of its lines.

    Attributes:
        observations: what they were gathered in.
        opened: what ``groups`` and ``pair_lines`` are the numbers of.
        units, statuses, latency, …: shape (outcomes,).
        groups, payers: shape (outcomes,); the numbers of open groups, and of ``observations.payers``.
        failed, filtered: shape (outcomes,); errors of the variant, and what a content filter cut off.
        buckets: shape (outcomes,); the analysis bucket of each unit.
        remembered: shape (outcomes,); whose unit is more than the request itself.
        pair_outcomes, pair_lines, marks: shape (pairs,); indices of outcomes and of open lines, and marks.
        new_units: what is added to stored unit chunks.
        ledgers: how many units of each event are known after this, of the ledgers that grew.
    """

    observations: Observations
    opened: Opened
    groups: Integers
    units: Hashes
    statuses: NDArray[np.uint8]
    failed: NDArray[np.bool_]
    filtered: NDArray[np.bool_]
    buckets: Integers
    remembered: NDArray[np.bool_]
    payers: Integers
    latency: Integers
    first_token: Integers
    prompt_tokens: Integers
    completion_tokens: Integers
    cost: Integers
    cached_tokens: Integers
    pair_outcomes: Integers
    pair_lines: Integers
    marks: Integers
    new_units: list[UnitChunk]
    ledgers: dict[UnitLedger, Mapping[UnitEvent, int]]

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
        has_failed, was_filtered = self.failed[self.pair_outcomes], self.filtered[self.pair_outcomes]
        first = (marks & FIRST_REQUEST).astype(bool)
        sums = np.zeros((LINE_COUNTS, size), np.int64)
        sums[0] = np.bincount(lines, minlength=size)
        counted = (
            has_failed,
            marks & FIRST_ERROR != 0,
            was_filtered,
            marks & FIRST_FILTER != 0,
            first,
            first & has_failed,
        )
        for column, mask in enumerate(counted, start=1):
            sums[column] = np.bincount(lines[mask], minlength=size)
        np.add.at(sums[7], lines, self.latency[self.pair_outcomes])
        bins = marks >> LATENCY_SHIFT
        for number in range(1, BINS + 1):
            sums[7 + number] = np.bincount(lines[bins == number], minlength=size)
        sums[8 + BINS] = np.bincount(lines[marks & MULTIPLY_EXPOSED != 0], minlength=size)
        return sums.T


def opened(observations: Observations, block: Block) -> tuple[Opened, Integers]:
    """Look up where outcomes count; return that, and the open group of each outcome."""
    numbers: dict[tuple[Owner, int], int] = {}
    known = observations.kinds.known
    of_runs = [numbers.setdefault((run.owner, run.tick), len(numbers)) for run in observations.runs]
    minutes = np.repeat(np.array(of_runs, np.int64), [run.size for run in observations.runs])
    used, groups = renumbered(minutes * len(known) + block.kinds, len(numbers) * len(known))
    owners = {owner: number for number, owner in enumerate(observations.owners)}
    found, places = Opened([], [], [], [], [], []), list(numbers)
    for slot in used.tolist():
        minute, kind = divmod(slot, len(known))
        owner, tick = places[minute]
        _open(found, owner.group(known[kind]), tick << ROW_BITS, owners[owner])
    return found, groups


def _open(found: Opened, group: Group, minute: int, owner: int) -> None:
    found.groups.append(group)
    found.group_keys.append(minute | group.row.number)
    found.starts.append(len(found.lines))
    for line in group.lines:
        found.lines.append(line)
        found.line_keys.append(minute | line.row.number)
        found.owners.append(owner)
