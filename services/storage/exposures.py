"""Writing exposures: one row of COPY's binary format for each unit that was served for the first time.

Nearly all of a row is the same for many units: that part is made once, and the rest is made by the column.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

_COPY = (
    "COPY exposures (experiment_id, phase, role, variant_index, variant_key, propensity, unit_hash, tick,"
    " exposed_at) FROM STDIN (FORMAT binary)"
)
_SIGNATURE, _END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"
_FIELDS = 9
_POSTGRES_EPOCH_MS = 946_684_800_000
"""The beginning of the year 2000."""
_OWN = np.dtype(
    [
        ("unit_length", ">i4"),
        ("unit", ">u8"),
        ("tick_length", ">i4"),
        ("tick", ">i8"),
        ("when_length", ">i4"),
        ("when", ">i8"),
    ]
)
"""What differs from unit to unit. Postgres has no unsigned numbers: it reads the same bits as signed."""
AT_ONCE = 4_096

_fields_of = attrgetter("fields")


class ExposedTo:
    """What the units of a variant have in common. ``variant_key`` may be any text."""

    __slots__ = ("experiment_id", "fields", "phase")

    def __init__(
        self,
        experiment_id: UUID,
        phase: int,
        role: str,
        variant_index: int,
        variant_key: str,
        propensity: float,
    ) -> None:
        self.experiment_id = experiment_id
        self.phase = phase
        values = (
            experiment_id.bytes,
            struct.pack(">i", phase),
            role.encode(),
            struct.pack(">h", variant_index),
            variant_key.encode(),
            struct.pack(">d", propensity),
        )
        fields = b"".join([struct.pack(">i", len(value)) + value for value in values])
        self.fields = struct.pack(">h", _FIELDS) + fields
        """The beginning of the row."""


class Exposure(NamedTuple):
    """A unit served for the first time, in which minute, and when."""

    to: ExposedTo
    unit_hash: int
    tick: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """Units served for the first time, as columns; see ``Exposure``."""

    to: Sequence[ExposedTo]
    units: NDArray[np.uint64]
    ticks: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]

    @classmethod
    def of(cls, exposures: Sequence[Exposure]) -> Exposures:
        """From single ones."""
        to, units, ticks, timestamps_ms = zip(*exposures, strict=True) if exposures else ((), (), (), ())
        return cls(
            to, np.array(units, np.uint64), np.array(ticks, np.int64), np.array(timestamps_ms, np.int64)
        )

    def __len__(self) -> int:
        return len(self.to)

    def __iter__(self) -> Iterator[Exposure]:
        columns = (self.units.tolist(), self.ticks.tolist(), self.timestamps_ms.tolist())
        return map(Exposure, self.to, *columns)

    def rows(self, start: int, end: int) -> bytes:
        """Return these as rows."""
        own = np.empty(len(self.to[start:end]), _OWN)
        own["unit_length"] = own["tick_length"] = own["when_length"] = 8
        own["unit"], own["tick"] = self.units[start:end], self.ticks[start:end]
        own["when"] = (self.timestamps_ms[start:end] - _POSTGRES_EPOCH_MS) * 1_000
        common = map(_fields_of, self.to[start:end])
        ends: list[bytes] = own.view(f"V{_OWN.itemsize}").tolist()
        return b"".join(chain.from_iterable(zip(common, ends, strict=True)))


NO_EXPOSURES = Exposures.of([])


async def copy_exposures(connection: AsyncConnection, exposures: Exposures) -> None:
    """Write exposures."""
    if not len(exposures):
        return
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"exposures are written by COPY, which needs psycopg, not {type(driver).__name__}")
    async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(_SIGNATURE)
        for start in range(0, len(exposures), AT_ONCE):
            await copy.write(exposures.rows(start, start + AT_ONCE))
        await copy.write(_END)
