"""What every table is made with."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class TransactionId(UserDefinedType[int]):
    """Postgres' 64-bit transaction id, ``xid8``: rows are stamped with it so that readers find new ones."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in SQL."""
        return "xid8"


def utc(name: str, *, nullable: bool = False, now: bool = False) -> sa.Column[object]:
    """Return a column with a point in time."""
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=nullable, server_default=default)


def count(name: str) -> sa.Column[int]:
    """Return a column that begins at 0."""
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))
