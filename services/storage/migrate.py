"""The schema: bring a database to a revision, or say how it differs from ``services.storage.tables``.

Configuration is code: there is no alembic.ini. Migrations lie beside the ``services`` package, in a checkout
as in an installed wheel. Everything here is synchronous and meant for commands and test fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects.postgresql import base as postgresql

from services.storage.tables import TransactionId

MIGRATIONS = Path(__file__).parents[2] / "migrations"
LOCK_TIMEOUT = "5s"
"""How long a step may wait for a table: longer would queue all traffic behind it."""
_ONE_AT_A_TIME = 0x48656164_4D494752
"""The advisory lock under which migrations run: "HeadMIGR"."""


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the schema up to a revision; two callers at once wait for each other."""
    with _alembic(database_url) as config:
        command.upgrade(config, revision)


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema down to a revision; ``base`` removes everything."""
    with _alembic(database_url) as config:
        command.downgrade(config, revision)


def check(database_url: str) -> None:
    """Raise alembic.util.CommandError where the database is not what ``services.storage.tables`` says."""
    # Reflection meets xid8 columns, which SQLAlchemy does not know by itself.
    postgresql.ischema_names.setdefault("xid8", TransactionId)
    with _alembic(database_url) as config:
        command.check(config)


def current_revision(database_url: str) -> str | None:
    """Return the revision the database is at, or None where it has no schema."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return None if revision is None else str(revision)


@contextmanager
def _alembic(database_url: str) -> Iterator[Config]:
    engine = sa.create_engine(database_url, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
    with engine.connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(_ONE_AT_A_TIME)))
        # After the advisory lock: waiting for another migration to end may take longer.
        connection.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        yield _config(connection)


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    config.attributes["connection"] = connection
    # Alembic prints what `check` finds; we raise it instead.
    config.print_stdout = lambda *_args, **_kwargs: None  # type: ignore[method-assign]
    return config
