"""Exposures are copied as bytes made by hand: what Postgres reads back must be what was meant."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage.exposures import AT_ONCE, ExposedTo, Exposure, Exposures, copy_exposures
from services.storage.identifiers import new_id

KEYS = ["plain", "a\tb", "a\\b", "a\nb", "a\r\nb", "\\N", "\\.", "\\t", "", "ü – 猫", "{1,2}", "'\""]


@pytest.mark.parametrize("variant_key", KEYS)
async def test_any_text_is_copied_as_it_is(engine: AsyncEngine, variant_key: str) -> None:
    to = ExposedTo(new_id(), 3, "treatment", 2, variant_key, 0.3333)
    async with engine.begin() as connection:
        await copy_exposures(connection, Exposures.of([Exposure(to, 2**64 - 1, 7, 1_700_000_000_123)]))
        rows = await connection.execute(
            sa.text(
                "SELECT phase, unit_hash, role, variant_index, variant_key, propensity, tick, exposed_at"
                " FROM exposures WHERE experiment_id = :id"
            ),
            {"id": to.experiment_id},
        )
        when = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
        assert [tuple(row) for row in rows] == [(3, -1, "treatment", 2, variant_key, 0.3333, 7, when)]


async def test_units_keep_all_their_bits_however_many_are_copied(engine: AsyncEngine) -> None:
    control = ExposedTo(new_id(), 1, "control", 0, "small", 0.5)
    units = [0, 1, 2**63 - 1, 2**63, 2**64 - 1, *range(5, AT_ONCE + 5)]
    exposures = [Exposure(control, unit, 7 + unit % 2, 60_000 * (unit % 3)) for unit in units]
    async with engine.begin() as connection:
        await copy_exposures(connection, Exposures.of(exposures))
        rows = await connection.execute(
            sa.text(
                "SELECT unit_hash, tick, extract(epoch FROM exposed_at) FROM exposures"
                " WHERE experiment_id = :id"
            ),
            {"id": control.experiment_id},
        )
        found = {(unit % 2**64, tick, int(seconds)) for unit, tick, seconds in rows}
    assert found == {(unit, 7 + unit % 2, 60 * (unit % 3)) for unit in units}
