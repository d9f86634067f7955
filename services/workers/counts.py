"""Counts that are not written yet: what a flush adds to the tables, gathered in plain dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import add
from typing import NamedTuple
from uuid import UUID

from services.domain.assignment import BASIS_POINTS
from services.domain.events import AssignedTo, DeadLetter, Outcome, Role, Touched, UnitSource
from services.domain.status import OutcomeStatus, is_error
from services.storage.claims import UnitChunk
from services.storage.counting import ExperimentCount, Exposure, GatewayAdvance, RouteCount
from services.workers.units import UnitLedger

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ERRORS = frozenset(status for status in OutcomeStatus if is_error(status))
_LABELS = tuple(role.label for role in Role)

LedgerKey = tuple[UUID, int]
"""(experiment id, phase)."""


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
class ExperimentTally:
    """What one partition counted for one experiment and phase."""

    ledger: UnitLedger
    next_offset: int = 0
    counts: dict[tuple[int, int, Role], list[int]] = field(default_factory=dict)
    exposures: list[Exposure] = field(default_factory=list)

    def add(self, outcome: Outcome, assigned: AssignedTo, tick: int, timestamp_ms: int) -> None:
        """Count an outcome: every event, and the unit's first ones apart."""
        key = (tick, assigned.treatment_share_bp, assigned.role)
        counts = self.counts.get(key)
        if counts is None:
            counts = self.counts[key] = [0] * 8
        unit, keeps_units = outcome.unit_hash, outcome.unit_source is not UnitSource.REQUEST
        failed = outcome.status in _ERRORS
        counts[0] += 1
        counts[7] += outcome.latency_us
        # Where the unit is the request itself, every event is its first and nothing has to be remembered.
        if not keeps_units or self.ledger.request.add(unit):
            counts[5] += 1
            counts[6] += failed
            if keeps_units:
                self.exposures.append(_exposure(outcome, assigned, tick, timestamp_ms))
        if failed:
            counts[1] += 1
            counts[2] += not keeps_units or self.ledger.error.add(unit)
        elif outcome.status is OutcomeStatus.CONTENT_FILTERED:
            counts[3] += 1
            counts[4] += not keeps_units or self.ledger.content_filter.add(unit)


@dataclass(slots=True)
class Delta:
    """Everything counted since the last flush, of all partitions together, and the records it came from."""

    records: list[Record] = field(default_factory=list)
    outcomes: int = 0
    partitions: dict[int, PartitionDelta] = field(default_factory=dict)
    gateways: dict[tuple[int, UUID], GatewayDelta] = field(default_factory=dict)
    tallies: dict[tuple[int, UUID, int], ExperimentTally] = field(default_factory=dict)
    routes: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records)

    def add_to_route(self, outcome: Outcome, tick: int) -> None:
        """Count an outcome for its route and variant."""
        key = (outcome.route_key, outcome.variant_key, tick)
        counts = self.routes.get(key)
        if counts is None:
            counts = self.routes[key] = [0] * 6
        counts[0] += 1
        counts[1] += outcome.status in _ERRORS
        counts[2] += outcome.status is OutcomeStatus.CONTENT_FILTERED
        counts[3] += outcome.latency_us
        counts[4] += outcome.prompt_tokens or 0
        counts[5] += outcome.completion_tokens or 0

    def exposures(self) -> list[Exposure]:
        """Return the units that were served for the first time."""
        return [exposure for tally in self.tallies.values() for exposure in tally.exposures]

    def touched(self) -> list[Touched]:
        """Return up to which offset each experiment is counted with this delta, in one of its partitions."""
        newest = {
            (experiment_id, phase): Touched(experiment_id, phase, partition, tally.next_offset)
            for (partition, experiment_id, phase), tally in self.tallies.items()
        }
        return list(newest.values())

    def seal_units(self) -> list[UnitChunk]:
        """Return the unit chunks to write. Call it once, when nothing is counted into this delta any more."""
        return [
            UnitChunk(partition, experiment_id, phase, event, chunk, packed)
            for (partition, experiment_id, phase), tally in self.tallies.items()
            for event, chunk, packed in tally.ledger.seal()
        ]

    def experiment_rows(self) -> list[ExperimentCount]:
        """Return what to add to ``experiment_counts``, all partitions together."""
        sums: dict[tuple[UUID, int, int, int, Role], list[int]] = {}
        for (_, experiment_id, phase), tally in self.tallies.items():
            for (tick, share_bp, role), counts in tally.counts.items():
                row = sums.setdefault((experiment_id, phase, tick, share_bp, role), [0] * len(counts))
                row[:] = map(add, row, counts)
        return [
            ExperimentCount(experiment_id, phase, tick, share_bp, _LABELS[role], *counts)
            for (experiment_id, phase, tick, share_bp, role), counts in sums.items()
        ]

    def route_rows(self) -> list[RouteCount]:
        """Return what to add to ``route_counts``."""
        return [RouteCount(*key, *counts) for key, counts in self.routes.items()]

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


def _exposure(outcome: Outcome, assigned: AssignedTo, tick: int, timestamp_ms: int) -> Exposure:
    unit = outcome.unit_hash
    return Exposure(
        experiment_id=assigned.experiment_id,
        phase=assigned.phase,
        unit_hash=unit - (1 << 64) if unit >= 1 << 63 else unit,
        role=_LABELS[assigned.role],
        variant_key=outcome.variant_key,
        propensity=assigned.propensity_bp / BASIS_POINTS,
        tick=tick,
        exposed_at=EPOCH + timedelta(milliseconds=timestamp_ms),
    )
