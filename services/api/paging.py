"""Lists page by page: ``limit``, ``cursor`` and ``next_cursor``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Query

from services.api.views import Items
from services.domain.errors import InvalidDefinition
from services.storage.paging import Listed, Page, Position

T = TypeVar("T")
V = TypeVar("V")

LARGEST_PAGE = 1_000

Prefix = Annotated[str | None, Query(max_length=200, description="Only those whose key begins with it")]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list is asked for."""

    limit: int
    cursor: str | None

    def page(self, position: Any) -> Page:
        """Return the page, of a list whose rows' positions are of the type ``position``, a tuple's.

        Raises InvalidDefinition for a cursor that is none of the list's.
        """
        return Page(self.limit, None if self.cursor is None else _position(self.cursor, position))

    def items(self, listed: Listed[T], view: Callable[[T], V]) -> Items[V]:
        """Return a page as callers see it."""
        following = None if listed.last is None else _cursor(listed.last)
        return Items(items=[view(one) for one in listed.items], next_cursor=following)


def _paging(
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="The most items on a page")] = 100,
    cursor: Annotated[
        str | None,
        Query(max_length=1_000, description="The page's beginning: a `next_cursor` as it was given"),
    ] = None,
) -> Paging:
    return Paging(limit, cursor)


Paged = Annotated[Paging, Depends(_paging)]


def _cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def _position(cursor: str, position: Any) -> Position:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        decoded: Position = msgspec.json.decode(text, type=position)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidDefinition(
            "cursor", "is none that this list gave; leave it out to begin with the first page"
        ) from None
    return decoded
