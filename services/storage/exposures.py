"""Writing exposures: one line of COPY's text format for each unit that was served for the first time.

Nearly all of a line is the same for many units, so its pieces are made once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COPY = (
    "COPY exposures (experiment_id, phase, unit_hash, role, variant_index, variant_key, propensity, tick,"
    " exposed_at) FROM STDIN"
)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
AT_ONCE = 1_000


class ExposedTo:
    """What the units of a variant have in common. ``variant_key`` may be any text."""

    __slots__ = ("after", "before", "experiment_id", "phase")

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
        self.before = f"{experiment_id}\t{phase}\t"
        """What comes before the unit."""
        escaped = variant_key.translate(_ESCAPES)
        self.after = f"\t{role}\t{variant_index}\t{escaped}\t{propensity!r}\t"
        """What comes after the unit, up to the minute."""


class Exposure(NamedTuple):
    """A unit served for the first time, in which minute, and when."""

    to: ExposedTo
    unit_hash: int
    tick: int
    timestamp_ms: int


async def copy_exposures(connection: AsyncConnection, exposures: Sequence[Exposure]) -> None:
    """Write exposures."""
    if not exposures:
        return
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"exposures are written by COPY, which needs psycopg, not {type(driver).__name__}")
    async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        for start in range(0, len(exposures), AT_ONCE):
            await copy.write("".join(_lines(exposures[start : start + AT_ONCE])))


def _lines(exposures: Sequence[Exposure]) -> Iterator[str]:
    when, end = (-1, -1), ""
    for to, unit_hash, tick, timestamp_ms in exposures:
        if (tick, timestamp_ms) != when:
            when = (tick, timestamp_ms)
            end = f"{tick}\t{(_EPOCH + timedelta(milliseconds=timestamp_ms)).isoformat()}\n"
        # Postgres has no unsigned numbers.
        signed = unit_hash - (1 << 64) if unit_hash >> 63 else unit_hash
        yield f"{to.before}{signed}{to.after}{end}"
