"""Many rows in one statement: each column is an array, which the statement unnests."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert(
    connection: AsyncConnection,
    statement: sa.TextClause,
    rows: Sequence[tuple[object, ...]],
    **fixed: str | bytes,
) -> None:
    """Run a statement on the rows' columns, its parameters c0, c1, …; not at all where there are no rows."""
    if rows:
        values = {f"c{index}": _array(column) for index, column in enumerate(zip(*rows, strict=True))}
        await connection.execute(statement, {**fixed, **values})


def columns(rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
    """Return the rows' columns as parameters; they may have missing values."""
    return {f"c{index}": list(column) for index, column in enumerate(zip(*rows, strict=True))}


def _array(column: tuple[object, ...]) -> object:
    """Return a column as a parameter: unless it is text, as the text of an array, which is made faster."""
    if isinstance(column[0], UUID):
        # A few of them come again and again, and their text takes long to make.
        texts = {number: str(one) for number, one in {id(one): one for one in column}.items()}
        return "{" + ",".join([texts[id(one)] for one in column]) + "}"
    if isinstance(column[0], int):
        return "{" + ",".join(map(str, column)) + "}"
    return list(column)
