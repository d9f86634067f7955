"""Reading a list page by page: each page begins after the last row of the one before.

Rows that come or go in between neither shift a page nor show a row twice, as they would with an offset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

Position = tuple[Any, ...]
"""A row's place in its list: what the list is sorted by, which no two rows share."""


@dataclass(frozen=True, slots=True)
class Page:
    """The first ``limit`` rows after a position, or of all."""

    limit: int = 100
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A page's items, and the position that the next page begins after; None where there is none."""

    items: list[T]
    last: Position | None = None


async def listed(
    connection: AsyncConnection,
    query: sa.Select[Any],
    page: Page,
    make: Callable[[sa.Row[Any]], T],
    *order: sa.ColumnElement[Any],
    newest_first: bool = False,
) -> Listed[T]:
    """Return a page of what ``query`` selects, sorted by ``order``, which is among the selected columns."""
    if page.after is not None:
        here = sa.tuple_(*order)
        after = sa.tuple_(
            *(sa.literal(value, column.type) for value, column in zip(page.after, order, strict=True))
        )
        query = query.where(here < after if newest_first else here > after)
    query = query.order_by(*(column.desc() if newest_first else column for column in order))
    # One more than asked for: it tells whether there is a next page.
    rows = (await connection.execute(query.limit(page.limit + 1))).all()
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    last = tuple(shown[-1]._mapping[column] for column in order) if more else None  # noqa: SLF001
    return Listed([make(row) for row in shown], last)


def begins_with(query: sa.Select[Any], column: sa.ColumnElement[str], prefix: str | None) -> sa.Select[Any]:
    """Keep the rows whose key begins with ``prefix``; all of them where it is None."""
    return query if prefix is None else query.where(column.startswith(prefix, autoescape=True))
