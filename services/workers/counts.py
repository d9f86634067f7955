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
from services.storage.claims import UnitChunk, UnitEvent
from services.storage.counting import (
    ExperimentCount,
    GatewayAdvance,
    QualityCount,
    QualityKind,
    RouteCount,
)
from services.storage.exposures import Exposure
from services.workers.lines import Group, Line
from services.workers.observations import ROW_BITS, Columns, Observations


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

    ``ledgers`` holds how many units of each event were known, by partition, experiment and phase.
    """

    columns: list[Columns]
    positions: Mapping[int, Position]
    ledgers: Mapping[tuple[int, UUID, int], Mapping[UnitEvent, int]]

    @property
    def size(self) -> int:
        """How many outcomes and reports."""
        return sum(columns.observations.size for columns in self.columns)


@dataclass
class Delta:
    """Everything counted since the last flush, of all partitions together, and the records it came from.

    ``replayed`` was counted before and is missing in the bucket sums only.
    """

    records: list[Record] = field(default_factory=list)
    outcomes: int = 0
    partitions: dict[int, PartitionDelta] = field(default_factory=dict)
    gateways: dict[tuple[int, UUID], GatewayDelta] = field(default_factory=dict)
    observations: Observations = field(default_factory=Observations)
    replayed: list[Observations] = field(default_factory=lambda: [Observations()])
    positions: dict[int, Position] = field(default_factory=dict)
    exposures: list[Exposure] = field(default_factory=list)
    quality: Counter[tuple[UUID, int, QualityKind]] = field(default_factory=Counter)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records or self.positions)

    @cached_property
    def columns(self) -> Columns:
        """What was counted, as columns. Only once nothing is counted into this delta any more."""
        return self.observations.columns()

    @cached_property
    def _by_line(self) -> list[tuple[Line, int, list[int]]]:
        """Of all lines of the same row and minute together: one of them, the minute, the counts."""
        opened = self.observations.open_lines
        ticks, first, rows = _merge(self.observations.line_keys)
        counts = self.columns.by_line(rows).tolist()
        return [(opened[at], tick, own) for at, tick, own in zip(first, ticks, counts, strict=True)]

    @cached_property
    def _by_group(self) -> list[tuple[Group, int, list[int]]]:
        """Of all groups of the same row and minute together: one of them, the minute, the counts."""
        opened = self.observations.open_groups
        ticks, first, rows = _merge(self.observations.group_keys)
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

    def seal_units(self) -> list[UnitChunk]:
        """Return the unit chunks to write. Call it once, when nothing is counted into this delta any more."""
        return [
            UnitChunk(partition, experiment_id, phase, event, chunk, packed)
            for (partition, experiment_id, phase), ledger in self.observations.ledgers.items()
            for event, chunk, packed in ledger.seal()
        ]

    def observed(self) -> Observed:
        """Return what the bucket sums take over. At the same moment as ``seal_units``."""
        gathered = [replayed for replayed in self.replayed if replayed]
        ledgers = {key: ledger.sizes() for one in gathered for key, ledger in one.ledgers.items()}
        ledgers |= {key: ledger.sizes() for key, ledger in self.observations.ledgers.items()}
        columns = [replayed.columns() for replayed in gathered]
        if self.observations:
            columns.append(self.columns)
        return Observed(columns, self.positions, ledgers)

    def only_replayed(self, later: Delta) -> Delta:
        """Return what was replayed in this and a later delta, and nothing that was counted."""
        replayed = [*self.replayed, *later.replayed, Observations()]
        return Delta(replayed=replayed, positions=self.positions | later.positions)

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

    def quality_rows(self) -> list[QualityCount]:
        """Return what to add to ``data_quality_counts``."""
        noticed = Counter(self.quality)
        for line, _, numbers in self._by_line:
            if numbers[-1]:
                noticed[line.experiment_id, line.phase, "multiply_exposed"] += numbers[-1]
        if any(group.late for group in self.observations.open_groups):
            requests = np.bincount(self.columns.groups, minlength=len(self.observations.open_groups))
            for number, group in enumerate(self.observations.open_groups):
                for assigned in group.late:
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


def _merge(keys: list[int]) -> tuple[list[int], list[int], Integers]:
    """Number the distinct keys; return each one's minute, where it comes first, and every key's number."""
    distinct, first, numbers = np.unique(np.array(keys, np.int64), return_index=True, return_inverse=True)
    return (distinct >> ROW_BITS).tolist(), first.tolist(), numbers
