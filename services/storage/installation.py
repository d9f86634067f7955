"""What was fixed when the installation was created: its identity and the partitions of ``outcomes.v1``."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import InstallationMismatch
from services.storage.identifiers import new_id
from services.storage.tables import installation


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation as it was recorded."""

    installation_id: UUID
    outcome_partitions: int


async def read_installation(connection: AsyncConnection) -> Installation:
    """Return what was recorded. Raises InstallationMismatch where nothing was."""
    row = (await connection.execute(sa.select(installation))).one_or_none()
    if row is None:
        raise InstallationMismatch("the database has no installation yet; run `headgate migrate`")
    return Installation(row.installation_id, row.outcome_partitions)


async def ensure_installation(connection: AsyncConnection, outcome_partitions: int) -> Installation:
    """Record the installation, or return the recorded one where it has as many partitions.

    Raises InstallationMismatch otherwise: units would move to other owners, and be counted twice.
    """
    await connection.execute(
        insert(installation)
        .values(installation_id=new_id(), outcome_partitions=outcome_partitions)
        .on_conflict_do_nothing()
    )
    recorded = await read_installation(connection)
    if recorded.outcome_partitions != outcome_partitions:
        raise InstallationMismatch(
            f"this installation was created with {recorded.outcome_partitions} outcome partitions, not "
            f"{outcome_partitions}; ask for {recorded.outcome_partitions}, or start a new installation with "
            "another database and HEADGATE_TOPIC_PREFIX"
        )
    return recorded
