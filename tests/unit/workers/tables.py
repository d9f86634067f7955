"""The counting tables as dictionaries: what flushes add up to, and what a claim reads back."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from services.storage.claims import UnitChunk, UnitEvent
from services.workers.counts import Delta
from services.workers.partitions import Partition

TOPIC = "outcomes.v1"


@dataclass
class Tables:
    """One partition's share of the database."""

    next_offset: int = 0
    tick: int = 0
    outcomes_counted: int = 0
    duplicates_dropped: int = 0
    sequences: dict[UUID, int] = field(default_factory=dict)
    missing: Counter[UUID] = field(default_factory=Counter)
    experiments: dict[tuple[object, ...], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0] * 14)
    )
    routes: dict[tuple[object, ...], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 6))
    usage: dict[tuple[object, ...], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 7))
    last_ticks: dict[tuple[object, ...], int] = field(default_factory=dict)
    chunks: dict[tuple[UUID, int, UnitEvent], dict[int, bytes]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    exposed: Counter[tuple[UUID, int, int]] = field(default_factory=Counter)

    def commit(self, delta: Delta) -> None:
        """Write a flush."""
        for moved in delta.partitions.values():
            assert moved.from_offset == self.next_offset
            self.next_offset, self.tick = moved.to_offset, moved.tick
            self.outcomes_counted += moved.outcomes_counted
            self.duplicates_dropped += moved.duplicates_dropped
        for row in delta.gateway_rows():
            self.sequences[row.gateway] = row.next_sequence
            self.missing[row.gateway] += row.missing
        for row in delta.experiment_rows():
            _add(self.experiments[row[:6]], row[6:])
        for row in delta.route_rows():
            _add(self.routes[row[:3]], row[3:])
        used = delta.usage_rows()
        assert len({row[:6] for row in used}) == len(used), "a statement may change a row only once"
        for use in used:
            _add(self.usage[use[:6]], use[6:13])
            self.last_ticks[use[:6]] = max(use.last_tick, self.last_ticks.get(use[:6], 0))
        for chunk in delta.seal_units():
            chunks = self.chunks[chunk.experiment_id, chunk.phase, chunk.event]
            chunks[chunk.chunk] = chunks.get(chunk.chunk, b"") + chunk.units
        self.exposed.update((one.to.experiment_id, one.to.phase, one.unit_hash) for one in delta.exposures)

    def claim(self) -> Partition:
        """Read everything back, as a new owner does."""
        partition = Partition(TOPIC, 0, 1, self.next_offset, self.tick, dict(self.sequences))
        for (experiment_id, phase, event), chunks in self.chunks.items():
            for number in sorted(chunks):
                partition.ledgers.load(UnitChunk(0, experiment_id, phase, event, number, chunks[number]))
        return partition


def _sums(columns: int) -> defaultdict[tuple[object, ...], list[int]]:
    return defaultdict(lambda: [0] * columns)


def _add(sums: list[int], numbers: tuple[object, ...]) -> None:
    for index, number in enumerate(numbers):
        assert isinstance(number, int)
        sums[index] += number
