"""Pieces of unit chunks are written as columns, and read back as what they were appended to."""

from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import claims
from services.storage.identifiers import new_id
from services.storage.unit_pieces import PIECES_AT_ONCE, UUID_BYTES, UnitPieces, joined, write_units


def pieces(partition: int, experiment_id: UUID, names: tuple[str, ...], events: list[int]) -> UnitPieces:
    """Pieces of one, two, three, one, … units: the numbers of the pieces they are in."""
    sizes = np.arange(len(events)) % 3 + 1
    return UnitPieces(
        names=names,
        partitions=np.full(len(events), partition),
        experiment_ids=np.full(len(events), np.void(experiment_id.bytes), UUID_BYTES),
        phases=np.full(len(events), 2),
        events=np.array(events),
        chunks=np.arange(len(events)),
        sizes=sizes,
        packed=np.repeat(np.arange(len(events)), sizes).astype("<u8").tobytes(),
    )


async def test_pieces_are_added_to_chunks_however_many_they_are(engine: AsyncEngine) -> None:
    experiment_id, topic = new_id(), "outcomes.v1"
    first = pieces(3, experiment_id, ("request", "error"), [number % 2 for number in range(PIECES_AT_ONCE)])
    second = pieces(4, experiment_id, ("feedback", "error"), [1, 0, 1])
    together = joined([first, second])
    async with engine.begin() as connection:
        await write_units(connection, topic, together)
        await write_units(connection, topic, together)
        found = [one async for one in claims.load_units(connection, topic, [3, 4])]
    assert {(one.partition, one.event) for one in found} == {
        (3, "request"),
        (3, "error"),
        (4, "feedback"),
        (4, "error"),
    }
    written = {one[:-1]: one.units for one in [*first, *second]}
    assert {one[:-1]: one.units for one in found} == {key: units * 2 for key, units in written.items()}
    for one in found:
        numbers = np.frombuffer(one.units, "<u8").tolist()
        assert numbers == [one.chunk] * (2 * (one.chunk % 3 + 1))
