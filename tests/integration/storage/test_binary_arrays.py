"""Arrays are packed by hand: Postgres must read the numbers that were meant."""

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage.binary_arrays import BinaryArray, Int4s, Int8s, int4s, uuids
from services.storage.identifiers import new_id

IDS = [new_id() for _ in range(3)]


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        ("int[]", int4s([]), []),
        ("int[]", int4s([0, -1, 2**31 - 1, -(2**31)]), [0, -1, 2**31 - 1, -(2**31)]),
        ("int[]", Int4s(np.arange(5_000)), [*range(5_000)]),
        ("bigint[]", Int8s(np.array([1, -1, 2**63 - 1, -(2**63)])), [1, -1, 2**63 - 1, -(2**63)]),
        ("uuid[]", uuids(IDS), IDS),
        ("uuid[]", uuids([]), []),
    ],
)
async def test_what_is_sent_is_read(
    engine: AsyncEngine, kind: str, given: BinaryArray, meant: list[object]
) -> None:
    async with engine.connect() as connection:
        statement = sa.text(f"SELECT * FROM unnest(CAST(:given AS {kind}))")  # noqa: S608 - our own types
        assert list(await connection.scalars(statement, {"given": given})) == meant
