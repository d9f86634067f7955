"""Reading who used how much: added up by day, route, variant, team or key, over a stretch of days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.paging import Listed, Page, listed
from services.storage.tables import credentials, usage

Grouping = Literal["day", "route", "variant", "team", "key"]

_COLUMNS: dict[Grouping, sa.Column[Any]] = {
    "day": usage.c.day,
    "route": usage.c.route_key,
    "variant": usage.c.variant_key,
    "team": usage.c.team_key,
    "key": usage.c.key_id,
}


class UsedSums(NamedTuple):
    """Usage added up."""

    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nanos: int
    unpriced_requests: int


@dataclass(frozen=True, slots=True)
class Used:
    """Usage of one group, which is described by what it is grouped by; no team is None.

    With a key there is ``key_label``, by which people know it now.
    """

    group: Mapping[str, Any]
    sums: UsedSums


@dataclass(frozen=True, slots=True)
class Period:
    """Which usage is asked for: both days are included; ``only`` are values that it must have."""

    first_day: date
    last_day: date
    only: Mapping[Grouping, str]


async def totals(connection: AsyncConnection, period: Period) -> UsedSums:
    """Return all usage of a period."""
    query: sa.Select[Any] = sa.select(*_sums())
    row = (await connection.execute(_within(query, period))).one()
    return UsedSums(*(int(value) for value in row))


async def page(
    connection: AsyncConnection, period: Period, group_by: Sequence[Grouping], asked: Page
) -> Listed[Used]:
    """Return a page of the usage of a period by group, in the order of what it is grouped by."""
    columns = [_COLUMNS[name].label(name) for name in group_by]
    query: sa.Select[Any] = sa.select(*columns, *_sums())
    grouped = _within(query, period).group_by(*columns).subquery()

    def used(row: sa.Row[Any]) -> Used:
        values = row._mapping  # noqa: SLF001 - SQLAlchemy's public way to a row's columns
        group: dict[str, Any] = {name: values[name] for name in (*group_by, *labels)}
        if not group.get("team", True):
            group["team"] = None
        return Used(group, UsedSums(*(int(values[name]) for name in UsedSums._fields)))

    labels = ("key_label",) if "key" in group_by else ()
    shown = _labelled(grouped) if labels else sa.select(grouped)
    return await listed(connection, shown, asked, used, *(grouped.c[name] for name in group_by))


def _labelled(grouped: sa.Subquery) -> sa.Select[Any]:
    key = credentials.c.key_id == grouped.c.key
    return sa.select(grouped, credentials.c.label.label("key_label")).outerjoin_from(
        grouped, credentials, key
    )


def _sums() -> list[sa.ColumnElement[Any]]:
    # Unlike bigint, numeric sums of sums cannot overflow.
    return [sa.func.coalesce(sa.func.sum(usage.c[name]), 0).label(name) for name in UsedSums._fields]


def _within(query: sa.Select[Any], period: Period) -> sa.Select[Any]:
    query = query.where(usage.c.day.between(period.first_day, period.last_day))
    for name, value in period.only.items():
        query = query.where(_COLUMNS[name] == value)
    return query
