"""What a flush adds to the stored unit chunks, as columns: there are tens of thousands of pieces a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.binary_arrays import Int4s, Uuids
from services.storage.claims import UnitChunk, UnitEvent

HASH_BYTES = 8
PIECES_AT_ONCE = 4_096

Integers = NDArray[np.int64]
UUID_BYTES = np.dtype("V16")


@dataclass(frozen=True, slots=True, eq=False)
class UnitPieces:
    """Pieces of unit chunks; ``packed`` holds their units one piece after the other.

    Attributes:
        partitions, phases, chunks: shape (pieces,).
        experiment_ids: shape (pieces,), 16 bytes each.
        events: shape (pieces,), indices into ``names``.
        sizes: shape (pieces,), how many units each piece has.
    """

    names: tuple[UnitEvent, ...]
    partitions: Integers
    experiment_ids: NDArray[np.void]
    phases: Integers
    events: Integers
    chunks: Integers
    sizes: Integers
    packed: bytes

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[UnitChunk]:
        start = 0
        columns = (self.partitions, self.phases, self.events, self.chunks, self.sizes)
        ids = self.experiment_ids.tobytes()
        for at, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            partition, phase, event, chunk, size = row
            end = start + size * HASH_BYTES
            experiment_id = UUID(bytes=ids[16 * at : 16 * at + 16])
            yield UnitChunk(partition, experiment_id, phase, self.names[event], chunk, self.packed[start:end])
            start = end

    def only(self, chosen: slice) -> UnitPieces:
        """These pieces."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)]) * HASH_BYTES
        first, last, _ = chosen.indices(len(self))
        return UnitPieces(
            self.names,
            self.partitions[chosen],
            self.experiment_ids[chosen],
            self.phases[chosen],
            self.events[chosen],
            self.chunks[chosen],
            self.sizes[chosen],
            self.packed[int(starts[first]) : int(starts[last])],
        )


_NONE = np.empty(0, np.int64)
NO_PIECES = UnitPieces((), _NONE, np.empty(0, UUID_BYTES), _NONE, _NONE, _NONE, _NONE, b"")


def joined(pieces: Sequence[UnitPieces]) -> UnitPieces:
    """Return all of them, one after the other."""
    given = [NO_PIECES, *(one for one in pieces if len(one))]
    names = tuple(dict.fromkeys(name for one in given for name in one.names))
    numbers = {name: number for number, name in enumerate(names)}
    events = [np.array([numbers[name] for name in one.names], np.int64)[one.events] for one in given]
    return UnitPieces(
        names,
        np.concatenate([one.partitions for one in given]),
        np.concatenate([one.experiment_ids for one in given]),
        np.concatenate([one.phases for one in given]),
        np.concatenate(events),
        np.concatenate([one.chunks for one in given]),
        np.concatenate([one.sizes for one in given]),
        b"".join([one.packed for one in given]),
    )


async def write_units(connection: AsyncConnection, topic: str, pieces: UnitPieces) -> None:
    """Add to chunks, packed into one value: the driver would escape each of an array's."""
    for start in range(0, len(pieces), PIECES_AT_ONCE):
        some = pieces.only(slice(start, start + PIECES_AT_ONCE))
        lengths = some.sizes * HASH_BYTES
        await connection.execute(
            _UNITS,
            {
                "topic": topic,
                "names": list(some.names),
                "packed": some.packed,
                "partitions": Int4s(some.partitions),
                "experiment_ids": Uuids(some.experiment_ids),
                "phases": Int4s(some.phases),
                "events": Int4s(some.events + 1),
                "chunks": Int4s(some.chunks),
                "starts": Int4s(np.cumsum(lengths) - lengths + 1),
                "lengths": Int4s(lengths),
            },
        )


_UNITS = sa.text("""
    INSERT INTO unit_chunks AS u (topic, partition, experiment_id, phase, event, chunk, units)
    SELECT :topic, d.partition, d.experiment_id, d.phase, (CAST(:names AS text[]))[d.event], d.chunk,
        substr(CAST(:packed AS bytea), d.packed_from, d.packed_length)
    FROM unnest(
        CAST(:partitions AS int[]), CAST(:experiment_ids AS uuid[]), CAST(:phases AS int[]),
        CAST(:events AS int[]), CAST(:chunks AS int[]), CAST(:starts AS int[]), CAST(:lengths AS int[])
    ) AS d(partition, experiment_id, phase, event, chunk, packed_from, packed_length)
    ON CONFLICT (topic, partition, experiment_id, phase, event, chunk) DO UPDATE SET
        units = u.units || excluded.units
""")
