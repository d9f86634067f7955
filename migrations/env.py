"""How Alembic reaches the database: over the connection that ``services.storage.migrate`` hands it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from services.storage.tables import metadata


def run(connection: Connection) -> None:
    """Run the steps that were asked for, each in a transaction of its own."""
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
