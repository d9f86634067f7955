"""A flush's outcomes as columns, with what was decided about them, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers
from services.storage.exposures import ExposedTo
from services.storage.unit_pieces import UnitPieces
from services.workers.directory import Directory, Part
from services.workers.latencies import BINS
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
from services.workers.unit_ledgers import Grown
from services.workers.units import Hashes

LINE_COUNTS = 9 + BINS
"""The columns of ``Columns.by_line``: those of ``experiment_counts``, and multiply exposed units."""

ROW_BITS = 32


@dataclass(frozen=True, eq=False)
class Opened:
    """The groups and lines of a flush, each once for every minute in which something counts there.

    Attributes:
        parts: they are these parts', one after the other.
        group_keys: shape (groups,); the minute and row of each: ``tick << ROW_BITS | row``.
        group_partitions, is_late: shape (groups,); whether outcomes come late for an assignment.
        starts, sizes: shape (groups,); where the lines of each group begin, and how many there are.
        line_keys: shape (lines,), like ``group_keys``.
        owners: shape (lines,); the number of each line's owner, among those of the observations.
        line_facts: shape (lines,); see ``Directory``.
    """

    parts: list[Part]
    group_keys: Integers
    group_partitions: Integers
    is_late: NDArray[np.bool_]
    starts: Integers
    sizes: Integers
    line_keys: Integers
    owners: Integers
    line_facts: NDArray[np.void]

    @classmethod
    def of(cls, parts: list[Part]) -> Opened:
        """From parts."""
        groups = [part.directory.group_facts[part.groups] for part in parts]
        lines = [part.directory.line_facts[part.lines] for part in parts]
        group_facts = np.concatenate([Directory().group_facts[:0], *groups])
        line_facts = np.concatenate([Directory().line_facts[:0], *lines])
        of_groups, of_lines = [len(part.groups) for part in parts], [len(part.lines) for part in parts]
        minutes = np.array([part.tick << ROW_BITS for part in parts], np.int64)
        sizes = group_facts["size"]
        return cls(
            parts=parts,
            group_keys=np.repeat(minutes, of_groups) | group_facts["row"],
            group_partitions=np.repeat(np.array([part.partition for part in parts], np.int64), of_groups),
            is_late=group_facts["is_late"],
            starts=np.cumsum(sizes) - sizes,
            sizes=sizes,
            line_keys=np.repeat(minutes, of_lines) | line_facts["row"],
            owners=np.repeat(np.array([part.owner for part in parts], np.int64), of_lines),
            line_facts=line_facts,
        )

    @cached_property
    def groups(self) -> list[Group]:
        """By number."""
        return [part.directory.groups[number] for part in self.parts for number in part.groups.tolist()]

    @cached_property
    def lines(self) -> list[Line]:
        """By number."""
        return [part.directory.lines[number] for part in self.parts for number in part.lines.tolist()]

    @cached_property
    def exposed_to(self) -> list[ExposedTo]:
        """What a line's units are exposed to, by number of the line."""
        return [part.directory.exposed_to[number] for part in self.parts for number in part.lines.tolist()]


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
        grown: how many units of each event are known after this, of the ledgers that grew.
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
    new_units: list[UnitPieces]
    grown: list[Grown]

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
    minutes: dict[tuple[Owner, int], int] = {}
    kinds, known = observations.kinds, max(len(observations.kinds.known), 1)
    of_runs = [minutes.setdefault((run.owner, run.tick), len(minutes)) for run in observations.runs]
    of_outcomes = np.repeat(np.array(of_runs, np.int64), [run.size for run in observations.runs])
    used, groups = renumbered(of_outcomes * known + block.kinds, len(minutes) * known)
    starts = np.searchsorted(used, np.arange(len(minutes) + 1) * known).tolist()
    owners = {owner: number for number, owner in enumerate(observations.owners)}
    parts = []
    for number, (owner, tick) in enumerate(minutes):
        directory, found = owner.find(kinds, used[starts[number] : starts[number + 1]] % known)
        parts.append(Part.of(directory, owner.partition, owners[owner], tick, found))
    return Opened.of(parts), groups
