"""Writing the sums by analysis bucket and their own progress in one transaction, by compare-and-set.

The partition's owner holds the sums in memory and writes whole rows: they are its own, so nothing is added up
in Postgres, and writing a row again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.bucket_table import Integers
from services.storage.binary_arrays import int4s, uuids
from services.storage.buckets import STORED, PackedSketches
from services.storage.claims import Fenced, UnitEvent
from services.storage.counting import QualityCount, add_quality

ROWS_AT_ONCE = 32
"""How many rows are packed and sent with one statement: between them others have their turn."""


class BucketAdvance(NamedTuple):
    """How far a partition's bucket sums get with this flush, and the gateways' next numbers there."""

    partition: int
    epoch: int
    from_offset: int
    to_offset: int
    tick: int
    sequences: Mapping[UUID, int]


class LedgerSizes(NamedTuple):
    """How many units of each event the bucket sums of an experiment and phase contain."""

    partition: int
    experiment_id: UUID
    phase: int
    known: Mapping[UnitEvent, int]


@dataclass(frozen=True, slots=True, eq=False)
class SumsToWrite:
    """One row of ``bucket_sums``; ``sums`` has the shape (columns, 2, buckets)."""

    experiment_id: UUID
    phase: int
    variant_index: int
    segment: str
    partition: int
    partitions: int
    columns: tuple[str, ...]
    sums: Integers
    sketches: Callable[[], PackedSketches]


@dataclass(slots=True)
class BucketFlush:
    """Everything that one transaction writes."""

    topic: str
    advances: list[BucketAdvance] = field(default_factory=list)
    ledgers: list[LedgerSizes] = field(default_factory=list)
    sums: list[SumsToWrite] = field(default_factory=list)
    quality: list[QualityCount] = field(default_factory=list)


async def write(connection: AsyncConnection, flush: BucketFlush) -> None:
    """Write a flush. Raises Fenced where a partition is no longer ours at that offset."""
    await _advance(connection, flush)
    if flush.ledgers:
        await connection.execute(_LEDGERS, {"topic": flush.topic, **_ledger_columns(flush.ledgers)})
    for start in range(0, len(flush.sums), ROWS_AT_ONCE):
        await connection.execute(_SUMS, _sum_columns(flush.sums[start : start + ROWS_AT_ONCE]))
    # Rows that other partitions add to as well: locked for the shortest time.
    await add_quality(connection, flush.quality)


_ADVANCE = sa.text("""
    UPDATE bucket_progress AS p SET
        next_offset = d.to_offset, tick = d.tick, sequences = CAST(d.sequences AS jsonb), flushed_at = now()
    FROM unnest(
        CAST(:partitions AS int[]), CAST(:epochs AS bigint[]), CAST(:from_offsets AS bigint[]),
        CAST(:to_offsets AS bigint[]), CAST(:ticks AS bigint[]), CAST(:sequences AS text[])
    ) AS d(partition, epoch, from_offset, to_offset, tick, sequences)
    WHERE p.topic = :topic AND p.partition = d.partition
        AND p.epoch = d.epoch AND p.next_offset = d.from_offset
""")

_LEDGERS = sa.text("""
    INSERT INTO bucket_ledgers (topic, partition, experiment_id, phase, known)
    SELECT :topic, d.partition, d.experiment_id, d.phase, CAST(d.known AS jsonb)
    FROM unnest(
        CAST(:partitions AS int[]), CAST(:experiment_ids AS uuid[]), CAST(:phases AS int[]),
        CAST(:known AS text[])
    ) AS d(partition, experiment_id, phase, known)
    ON CONFLICT (topic, partition, experiment_id, phase) DO UPDATE SET known = excluded.known
""")

_SUMS = sa.text("""
    INSERT INTO bucket_sums
        (experiment_id, phase, variant_index, segment, partition, partitions, columns, sums, sketches)
    SELECT d.experiment_id, d.phase, d.variant_index, d.segment, d.partition, d.partitions,
        string_to_array((CAST(:names AS text[]))[d.columns], ' '),
        substr(CAST(:sums AS bytea), d.sums_from, d.sums_length),
        substr(CAST(:sketches AS bytea), d.sketches_from, d.sketches_length)
    FROM unnest(
        CAST(:experiment_ids AS uuid[]), CAST(:phases AS int[]), CAST(:variants AS int[]),
        CAST(:segments AS text[]), CAST(:partitions AS int[]), CAST(:counts AS int[]),
        CAST(:columns AS int[]), CAST(:sums_from AS int[]), CAST(:sums_length AS int[]),
        CAST(:sketches_from AS int[]), CAST(:sketches_length AS int[])
    ) AS d(
        experiment_id, phase, variant_index, segment, partition, partitions, columns,
        sums_from, sums_length, sketches_from, sketches_length)
    ON CONFLICT (experiment_id, phase, variant_index, segment, partition) DO UPDATE SET
        partitions = excluded.partitions, columns = excluded.columns, sums = excluded.sums,
        sketches = excluded.sketches, stamp = pg_current_xact_id()
""")


async def _advance(connection: AsyncConnection, flush: BucketFlush) -> None:
    advances = sorted(flush.advances)
    result = await connection.execute(
        _ADVANCE,
        {
            "topic": flush.topic,
            "partitions": [one.partition for one in advances],
            "epochs": [one.epoch for one in advances],
            "from_offsets": [one.from_offset for one in advances],
            "to_offsets": [one.to_offset for one in advances],
            "ticks": [one.tick for one in advances],
            "sequences": [
                _json({str(gateway): number for gateway, number in one.sequences.items()}) for one in advances
            ],
        },
    )
    if result.rowcount != len(advances):
        raise Fenced(
            f"the bucket sums of {len(advances) - result.rowcount} of {len(advances)} partitions have been "
            "claimed by another worker"
        )


def _ledger_columns(ledgers: Sequence[LedgerSizes]) -> dict[str, list[object]]:
    return {
        "partitions": [one.partition for one in ledgers],
        "experiment_ids": [one.experiment_id for one in ledgers],
        "phases": [one.phase for one in ledgers],
        "known": [_json(dict(one.known)) for one in ledgers],
    }


def _sum_columns(rows: Sequence[SumsToWrite]) -> dict[str, object]:
    names = {columns: number for number, columns in enumerate(dict.fromkeys(row.columns for row in rows), 1)}
    return {
        "experiment_ids": uuids([row.experiment_id for row in rows]),
        "phases": int4s([row.phase for row in rows]),
        "variants": int4s([row.variant_index for row in rows]),
        "segments": [row.segment for row in rows],
        "partitions": int4s([row.partition for row in rows]),
        "counts": int4s([row.partitions for row in rows]),
        "names": [" ".join(columns) for columns in names],
        "columns": int4s([names[row.columns] for row in rows]),
        **_joined("sums", [row.sums.astype(STORED, copy=False).tobytes() for row in rows]),
        **_joined("sketches", [row.sketches() for row in rows]),
    }


def _joined(name: str, pieces: Sequence[bytes]) -> dict[str, object]:
    """Return many bytes as one value and where each piece of it lies: the driver would escape an array's."""
    lengths = [len(piece) for piece in pieces]
    starts = [1, *(end + 1 for end in accumulate(lengths))][:-1]
    return {name: b"".join(pieces), f"{name}_from": int4s(starts), f"{name}_length": int4s(lengths)}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
