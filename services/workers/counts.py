"""Counts that are not written yet: what a flush adds to the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

import numpy as np

from services.domain.bucket_table import Integers
from services.domain.events import DeadLetter, Touched
from services.storage.counting import (
    ExperimentCount,
    GatewayAdvance,
    QualityCount,
    QualityKind,
    RouteCount,
)
from services.storage.exposures import Exposures
from services.storage.unit_pieces import UnitPieces, joined
from services.storage.usage import UsageCount
from services.workers.columns import ROW_BITS, Columns
from services.workers.deciding import decided, exposures
from services.workers.lines import Group, Line
from services.workers.observations import Observations
from services.workers.unit_ledgers import Grown
from services.workers.usage import usage_rows


class Record(NamedTuple):
    """A record of ``outcomes.v1`` as it was read. The timestamp is the broker's append time."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


@dataclass(slots=True)
class PartitionDelta:
    """How a partition moves on."""

    from_offset: int
    to_offset: int
    tick: int
    last: Record | None = None
    outcomes_counted: int = 0
    duplicates_dropped: int = 0
    dead_lettered: int = 0


@dataclass(slots=True)
class GatewayDelta:
    """How the sequence of a gateway incarnation moves on in a partition."""

    next_sequence: int
    outcomes_counted: int = 0
    duplicates_dropped: int = 0
    missing: int = 0


@dataclass(slots=True)
class Position:
    """Up to where a partition was observed for the bucket sums, and the gateways' next numbers there."""

    next_offset: int
    tick: int
    sequences: dict[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a flush hands on to the bucket sums, once it is written.

    ``grown`` holds how many units of each event were known, of the ledgers that grew; the last word counts.
    """

    columns: list[Columns]
    positions: Mapping[int, Position]
    grown: list[Grown]

    @property
    def size(self) -> int:
        """How many outcomes and reports."""
        return sum(columns.observations.size for columns in self.columns)


@dataclass
class Delta:
    """Everything counted since the last flush, of all partitions together, and the records it came from.

    ``replayed`` was counted before and is missing in the bucket sums only; ``decided`` is what it became.
    """

    records: list[Record] = field(default_factory=list)
    outcomes: int = 0
    partitions: dict[int, PartitionDelta] = field(default_factory=dict)
    gateways: dict[tuple[int, UUID], GatewayDelta] = field(default_factory=dict)
    observations: Observations = field(default_factory=Observations)
    replayed: list[Observations] = field(default_factory=lambda: [Observations()])
    decided: list[Columns] = field(default_factory=list)
    positions: dict[int, Position] = field(default_factory=dict)
    quality: Counter[tuple[UUID, int, QualityKind]] = field(default_factory=Counter)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records or self.positions)

    @cached_property
    def columns(self) -> Columns:
        """What was counted, as columns. Only once nothing is counted into this delta any more."""
        return decided(self.observations)

    @cached_property
    def exposures(self) -> Exposures:
        """The units that are served for the first time."""
        return exposures(self.columns)

    @cached_property
    def _by_line(self) -> list[tuple[Line, int, list[int]]]:
        """Of all lines of the same row and minute together: one of them, the minute, the counts."""
        opened = self.columns.opened.lines
        ticks, first, rows = _merge(self.columns.opened.line_keys)
        counts = self.columns.by_line(rows).tolist()
        return [(opened[at], tick, own) for at, tick, own in zip(first, ticks, counts, strict=True)]

    @cached_property
    def _merged_groups(self) -> tuple[list[int], list[int], Integers]:
        """The rows and minutes that open groups belong to; see ``_merge``."""
        return _merge(self.columns.opened.group_keys)

    @cached_property
    def _by_group(self) -> list[tuple[Group, int, list[int]]]:
        """Of all groups of the same row and minute together: one of them, the minute, the counts."""
        opened = self.columns.opened.groups
        ticks, first, rows = self._merged_groups
        counts = self.columns.by_group(rows).tolist()
        return [(opened[at], tick, own) for at, tick, own in zip(first, ticks, counts, strict=True)]

    def touched(self) -> list[Touched]:
        """Return up to which offset each experiment is counted with this delta, in one of its partitions."""
        newest = {
            (line.experiment_id, line.phase): Touched(
                line.experiment_id, line.phase, line.partition, self.partitions[line.partition].to_offset
            )
            for line, _, _ in self._by_line
        }
        return list(newest.values())

    def seal_units(self) -> UnitPieces:
        """Return what to add to the stored unit chunks."""
        return joined(self.columns.new_units)

    def observed(self) -> Observed:
        """Return what the bucket sums take over. Only once nothing is counted into this delta any more."""
        self.decided += [decided(one) for one in self.replayed if one]
        self.replayed = [Observations()]
        columns = [*self.decided, *([self.columns] if self.observations else [])]
        # What was counted comes later in the log than what was replayed: its sizes are the ones that stay.
        return Observed(columns, self.positions, [grown for one in columns for grown in one.grown])

    def only_replayed(self, later: Delta) -> Delta:
        """Return what was replayed in this and a later delta, and nothing that was counted."""
        return Delta(
            replayed=[*self.replayed, *later.replayed, Observations()],
            decided=[*self.decided, *later.decided],
            positions=self.positions | later.positions,
        )

    def next(self) -> Delta:
        """Return an empty delta that knows the kinds of outcomes that this one does."""
        kinds = self.observations.kinds.kept()
        return Delta(observations=Observations(kinds), replayed=[Observations(kinds)])

    def experiment_rows(self) -> list[ExperimentCount]:
        """Return what to add to ``experiment_counts``, all partitions together."""
        return [
            ExperimentCount(
                line.experiment_id,
                line.phase,
                tick,
                line.share_bp,
                line.role,
                line.variant_number,
                *numbers[:-1],
            )
            for line, tick, numbers in self._by_line
        ]

    def route_rows(self) -> list[RouteCount]:
        """Return what to add to ``route_counts``."""
        return [
            RouteCount(group.route_key, group.variant_key, tick, *numbers)
            for group, tick, numbers in self._by_group
        ]

    def usage_rows(self) -> list[UsageCount]:
        """Return what to add to ``usage``."""
        _, first, minutes = self._merged_groups
        return usage_rows(self.columns, minutes, first)

    def quality_rows(self) -> list[QualityCount]:
        """Return what to add to ``data_quality_counts``."""
        noticed = Counter(self.quality)
        for line, _, numbers in self._by_line:
            if numbers[-1]:
                noticed[line.experiment_id, line.phase, "multiply_exposed"] += numbers[-1]
        opened = self.columns.opened.groups
        if late := np.flatnonzero(self.columns.opened.is_late).tolist():
            requests = np.bincount(self.columns.groups, minlength=len(opened))
            for number in late:
                for assigned in opened[number].late:
                    noticed[assigned.experiment_id, assigned.phase, "late_outcomes"] += int(requests[number])
        return [QualityCount(*key, n) for key, n in noticed.items() if n]

    def gateway_rows(self) -> list[GatewayAdvance]:
        """Return how the gateways' sequences move on."""
        return [
            GatewayAdvance(
                partition,
                gateway,
                delta.next_sequence,
                delta.outcomes_counted,
                delta.duplicates_dropped,
                delta.missing,
            )
            for (partition, gateway), delta in self.gateways.items()
        ]


def _merge(keys: Integers) -> tuple[list[int], list[int], Integers]:
    """Number the distinct keys; return each one's minute, where it comes first, and every key's number."""
    distinct, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    return (distinct >> ROW_BITS).tolist(), first.tolist(), numbers
