"""Reading the sums by analysis bucket: what changed since, and whole variants put together from it.

A row of ``bucket_sums`` holds one partition's buckets (partition, partition + P, …) of a variant and segment.
Rows are stamped with the transaction that wrote them last, like those of ``experiment_counts``: a reader asks
for what may have changed since its last look, and keeps the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.quantiles import REPLICATES, ReplicatedSketch
from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import WHOLE, BucketTable, Integers
from services.storage.tables import bucket_progress, bucket_sums

STORED = np.dtype(">i8")
"""How a sum is stored: 64 bits, the highest first, so that SQL can read it too."""

Sketches = dict[str, dict[int, tuple[list[int], list[int]]]]
"""Source → replicate → (cells in order, counts), as `analytics.sketch` numbers them."""

PackedSketches = bytes
"""``Sketches`` as they are stored: MessagePack."""

_sketches_decoder = msgspec.msgpack.Decoder(Sketches)


KEYS_AT_ONCE = 500
"""How many rows are asked for at a time."""


class SumsKey(NamedTuple):
    """Which sums."""

    partition: int
    experiment_id: UUID
    phase: int
    variant_index: int
    segment: str


class BucketKey(NamedTuple):
    """Which sums of an experiment and phase."""

    variant_index: int
    segment: str
    partition: int


@dataclass(frozen=True, slots=True, eq=False)
class BucketRow:
    """The sums of one variant and segment in one partition, as stored.

    Attributes:
        columns: keys of the columns (see `services.domain.metric.Column`).
        sums: shape (columns, 2, buckets of the partition): the number of values, and their sum.
        sketches: the distribution of each sketched source, by replicate.
    """

    variant_index: int
    segment: str
    partition: int
    partitions: int
    columns: tuple[str, ...]
    sums: Integers
    sketches: Sketches

    @property
    def key(self) -> BucketKey:
        """Which sums these are."""
        return BucketKey(self.variant_index, self.segment, self.partition)


@dataclass(slots=True)
class BucketCache:
    """The bucket sums of one experiment and phase as they were read so far."""

    phase: int
    rows: dict[BucketKey, BucketRow] = field(default_factory=dict)
    read_up_to: str | None = None
    """Transactions older than this one can write nothing any more."""
    _tables: dict[tuple[int, str], BucketTable] = field(default_factory=dict)
    _sketches: dict[tuple[int, str, str], ReplicatedSketch] = field(default_factory=dict)

    def put(self, rows: Iterable[BucketRow]) -> None:
        """Add rows, or replace those of the same variant, segment and partition."""
        # New dictionaries: whoever holds what was ``seen`` before keeps it as it was.
        self.rows = self.rows | {row.key: row for row in rows}
        self._tables, self._sketches = {}, {}

    def seen(self) -> BucketCache:
        """Return everything as it is now, which later rows do not change. Nothing is copied."""
        return replace(self)

    @property
    def segments(self) -> list[str]:
        """Every segment that has sums, in order; the first is '', which holds all requests."""
        return sorted({key.segment for key in self.rows})

    def variant(self, variant_index: int, segment: str = WHOLE) -> BucketTable:
        """Return the sums of a variant over all analysis buckets."""
        key = (variant_index, segment)
        if key not in self._tables:
            self._tables[key] = assemble(self._of(variant_index, segment))
        return self._tables[key]

    def sketch(self, variant_index: int, source: str, segment: str = WHOLE) -> ReplicatedSketch:
        """Return the distribution of a source in a variant."""
        key = (variant_index, segment, source)
        if key not in self._sketches:
            self._sketches[key] = merge_sketches(self._of(variant_index, segment), source)
        return self._sketches[key]

    def _of(self, variant_index: int, segment: str) -> list[BucketRow]:
        return [row for key, row in self.rows.items() if key[:2] == (variant_index, segment)]


async def refresh(connection: AsyncConnection, experiment_id: UUID, cache: BucketCache) -> bool:
    """Bring the cache up to date with the snapshot; say whether anything was read.

    The transaction must read one snapshot (REPEATABLE READ).
    """
    rows = await read_changed(connection, experiment_id, cache.phase, cache.read_up_to)
    if rows:
        cache.put(rows)
    cache.read_up_to = await connection.scalar(
        sa.text("SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text)")
    )
    return bool(rows)


async def read_changed(
    connection: AsyncConnection, experiment_id: UUID, phase: int, since_stamp: str | None
) -> list[BucketRow]:
    """Return the rows written by transactions from ``since_stamp`` on; None: all of them."""
    sums = bucket_sums.c
    statement = sa.select(*_ROW).where(sums.experiment_id == experiment_id, sums.phase == phase)
    if since_stamp is not None:
        statement = statement.where(
            sums.stamp >= sa.text("CAST(:since AS xid8)").bindparams(since=since_stamp)
        )
    return [_row(*row) for row in await connection.execute(statement)]


async def read_rows(connection: AsyncConnection, keys: Sequence[SumsKey]) -> dict[SumsKey, BucketRow]:
    """Return those of the rows that exist."""
    if not keys:
        return {}
    sums = bucket_sums.c
    key_columns = (sums.partition, sums.experiment_id, sums.phase, sums.variant_index, sums.segment)
    found = {}
    for start in range(0, len(keys), KEYS_AT_ONCE):
        wanted = sa.tuple_(*key_columns).in_(keys[start : start + KEYS_AT_ONCE])
        for row in await connection.execute(sa.select(sums.experiment_id, sums.phase, *_ROW).where(wanted)):
            experiment_id, phase, *rest = row
            one = _row(*rest)
            key = SumsKey(one.partition, experiment_id, phase, one.variant_index, one.segment)
            found[key] = one
    return found


_ROW = (
    bucket_sums.c.variant_index,
    bucket_sums.c.segment,
    bucket_sums.c.partition,
    bucket_sums.c.partitions,
    bucket_sums.c.columns,
    bucket_sums.c.sums,
    bucket_sums.c.sketches,
)


def _row(
    variant_index: int,
    segment: str,
    partition: int,
    partitions: int,
    columns: Sequence[str],
    packed: bytes,
    sketches: bytes | None,
) -> BucketRow:
    return BucketRow(
        variant_index,
        segment,
        partition,
        partitions,
        tuple(columns),
        unpack_sums(packed, len(columns)),
        unpack_sketches(sketches),
    )


async def read_offsets(connection: AsyncConnection, topic: str) -> dict[int, int]:
    """Return up to which offset of each partition the sums are written."""
    progress = bucket_progress.c
    rows = await connection.execute(
        sa.select(progress.partition, progress.next_offset).where(progress.topic == topic)
    )
    return {row.partition: row.next_offset for row in rows}


def assemble(rows: Iterable[BucketRow]) -> BucketTable:
    """Put one variant's and segment's rows together; partitions without a row are empty buckets.

    A column that some rows lack is zero there. Without rows there are no columns.
    """
    given = list(rows)
    columns = tuple(dict.fromkeys(column for row in given for column in row.columns))
    sums = np.zeros((len(columns), 2, ANALYSIS_BUCKETS), np.int64)
    for row in given:
        places = [columns.index(column) for column in row.columns]
        sums[places, :, row.partition :: row.partitions] += row.sums
    return BucketTable(columns, sums)


def merge_sketches(rows: Iterable[BucketRow], source: str) -> ReplicatedSketch:
    """Merge the sketches of one source over the partitions of a variant and segment."""
    replicates, cells, counts = list[int](), list[int](), list[int]()
    for row in rows:
        for replicate, (row_cells, row_counts) in row.sketches.get(source, {}).items():
            replicates += [replicate] * len(row_cells)
            cells += row_cells
            counts += row_counts
    return ReplicatedSketch.from_rows(replicates, cells, counts, size=REPLICATES)


def buckets_of(partition: int, partitions: int) -> int:
    """Return how many analysis buckets a partition has."""
    return len(range(partition, ANALYSIS_BUCKETS, partitions))


def unpack_sums(packed: bytes, columns: int) -> Integers:
    """Return stored sums as an array of shape (columns, 2, buckets)."""
    return np.frombuffer(packed, STORED).astype(np.int64).reshape(columns, 2, -1)


def unpack_sketches(packed: PackedSketches | None) -> Sketches:
    """Return stored sketches."""
    return {} if packed is None else _sketches_decoder.decode(packed)
