"""Cursors without a server."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.paging import Paging
from services.domain.errors import InvalidDefinition
from services.storage.paging import Listed, Page

moments = st.datetimes(timezones=st.just(UTC))


def turned(position: tuple[Any, ...], kind: Any) -> Any:
    """The position that comes back with a cursor."""
    shown = Paging(limit=1, cursor=None).items(Listed(["item"], position), str)
    return Paging(limit=1, cursor=shown.next_cursor).page(kind).after


@given(moments, st.uuids())
def test_a_moment_and_an_identifier_come_back(moment: datetime, identifier: UUID) -> None:
    assert turned((moment, identifier), tuple[datetime, UUID]) == (moment, identifier)


@given(st.text())
def test_a_key_comes_back(key: str) -> None:
    assert turned((key,), tuple[str]) == (key,)


def test_the_last_page_has_no_cursor() -> None:
    shown = Paging(limit=5, cursor=None).items(Listed([1, 2]), str)
    assert (shown.items, shown.next_cursor) == (["1", "2"], None)
    assert Paging(limit=5, cursor=None).page(tuple[str]) == Page(5, None)


@given(st.text())
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidDefinition, match="cursor"):
        Paging(limit=1, cursor=cursor).page(tuple[datetime, UUID])
