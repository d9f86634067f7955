"""Claiming partitions of ``outcomes.v1``: who counts them from here on, from where, and knowing what.

A claim raises the partition's epoch. Whoever counted it before no longer matches (epoch, next_offset) and
can write nothing more, however long it slept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import experiments, gateway_progress, partition_progress, unit_chunks

UnitEvent = str
"""request, request:1, … by variant; error; content_filter; feedback; true:<feedback name>."""

KEEP_UNITS_OF_STOPPED_HOURS = 24
"""How long after its end an experiment's units are still known, for outcomes that come late.

After that it is closed: what still comes for it is noted as late and counts nowhere.
"""


_PROGRESS = (
    partition_progress.c.partition,
    partition_progress.c.epoch,
    partition_progress.c.next_offset,
    partition_progress.c.tick,
    partition_progress.c.last_timestamp_ms,
    partition_progress.c.last_crc,
    partition_progress.c.incarnation,
)


class Fenced(Exception):
    """Somebody else has claimed a partition: what this process counted must not be written."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition is counted. ``last_crc`` None: the last counted record is not known."""

    partition: int
    epoch: int
    next_offset: int
    tick: int
    last_timestamp_ms: int | None
    last_crc: int | None
    incarnation: int


@dataclass(frozen=True, slots=True)
class Move:
    """The next offset changes without counting, because the log is not what it was."""

    partition: int
    next_offset: int
    records_lost: int
    opens_incarnation: bool


class UnitChunk(NamedTuple):
    """A stored piece of a unit ledger, or what is added to one: packed 64-bit hashes, little-endian."""

    partition: int
    experiment_id: UUID
    phase: int
    event: UnitEvent
    chunk: int
    units: bytes


async def claim(
    connection: AsyncConnection, topic: str, partitions: Sequence[int], *, claimed_by: str
) -> list[Progress]:
    """Raise the epoch of each partition and return how far it is counted."""
    insert = pg.insert(partition_progress).values(
        [
            # In order of partition, so that two claims at once do not deadlock.
            {"topic": topic, "partition": partition, "epoch": 1, "claimed_by": claimed_by}
            | {"claimed_at": sa.func.now()}
            for partition in sorted(partitions)
        ]
    )
    progress = partition_progress.c
    statement = insert.on_conflict_do_update(
        index_elements=[progress.topic, progress.partition],
        set_={
            "epoch": progress.epoch + 1,
            "claimed_by": insert.excluded.claimed_by,
            "claimed_at": insert.excluded.claimed_at,
        },
    ).returning(*_PROGRESS)
    return [Progress(*row) for row in await connection.execute(statement)]


async def move(
    connection: AsyncConnection, topic: str, moves: Sequence[Move], epochs: Mapping[int, int]
) -> None:
    """Book where the log differs from what was counted. Call it with the epochs of the claim."""
    progress = partition_progress.c
    for moved in moves:
        await connection.execute(
            partition_progress.update()
            .where(
                progress.topic == topic,
                progress.partition == moved.partition,
                progress.epoch == epochs[moved.partition],
            )
            .values(
                next_offset=moved.next_offset,
                records_lost=progress.records_lost + moved.records_lost,
                incarnation=progress.incarnation + int(moved.opens_incarnation),
                last_timestamp_ms=None,
                last_crc=None,
            )
        )


async def read_progress(connection: AsyncConnection, topic: str, epochs: Mapping[int, int]) -> list[Progress]:
    """Return how far claimed partitions are counted. Raises Fenced where one has another epoch by now."""
    progress = partition_progress.c
    rows = await connection.execute(
        sa.select(*_PROGRESS).where(progress.topic == topic, progress.partition.in_(list(epochs)))
    )
    found = [Progress(*row) for row in rows]
    if {one.partition: one.epoch for one in found} != dict(epochs):
        raise Fenced("a partition has been claimed by another worker")
    return found


async def load_sequences(
    connection: AsyncConnection, topic: str, partitions: Sequence[int]
) -> dict[int, dict[UUID, int]]:
    """Return the next sequence number of each gateway incarnation, by partition."""
    sequences: dict[int, dict[UUID, int]] = {partition: {} for partition in partitions}
    gateways = gateway_progress.c
    rows = await connection.execute(
        sa.select(gateways.partition, gateways.gateway, gateways.next_sequence).where(
            gateways.topic == topic, gateways.partition.in_(partitions)
        )
    )
    for partition, gateway, next_sequence in rows:
        sequences[partition][gateway] = next_sequence
    return sequences


async def load_closed(connection: AsyncConnection) -> list[UUID]:
    """Return the experiments that ended so long ago that nothing more is counted for them."""
    return [row.experiment_id for row in await connection.execute(_closed())]


class Standing(NamedTuple):
    """Where an experiment stands, as far as counting goes."""

    experiment_id: UUID
    phase: int
    is_stopped: bool
    is_closed: bool


async def load_standings(connection: AsyncConnection, experiment_ids: Collection[UUID]) -> list[Standing]:
    """Return where these experiments stand, those of them that exist."""
    if not experiment_ids:
        return []
    one = experiments.c
    statement = sa.select(
        one.experiment_id, one.phase, one.status == "stopped", one.experiment_id.in_(_closed())
    ).where(one.experiment_id.in_(experiment_ids))
    return [Standing(*row) for row in await connection.execute(statement)]


def _closed() -> sa.Select[tuple[UUID]]:
    ended_before = sa.func.now() - sa.text(f"interval '{KEEP_UNITS_OF_STOPPED_HOURS} hours'")
    return sa.select(experiments.c.experiment_id).where(experiments.c.stopped_at < ended_before)


async def load_units(
    connection: AsyncConnection, topic: str, partitions: Sequence[int]
) -> AsyncIterator[UnitChunk]:
    """Yield the stored unit chunks, in order, of experiments that still run or ended not long ago."""
    units = unit_chunks.c
    statement = (
        sa.select(units.partition, units.experiment_id, units.phase, units.event, units.chunk, units.units)
        .where(units.topic == topic, units.partition.in_(partitions), units.experiment_id.not_in(_closed()))
        .order_by(units.partition, units.experiment_id, units.phase, units.event, units.chunk)
    )
    async for row in await connection.stream(statement):
        yield UnitChunk(*row)
