"""``GET /v1/usage``: who used how much, and what it cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Query

from services.api.common import PROBLEMS, Database
from services.api.paging import Paged
from services.api.transactions import Route
from services.api.usage_views import UsageRowView, UsageView, UsedView
from services.domain.errors import InvalidDefinition
from services.storage import usage_reading
from services.storage.usage_reading import Grouping, Period

router = APIRouter(prefix="/v1/usage", tags=["usage"], responses=PROBLEMS, route_class=Route)

LONGEST_DAYS = 400
_DEFAULT = timedelta(days=29)

_KNOWN: tuple[Grouping, ...] = get_args(Grouping)
_Filter = Annotated[str | None, Query(max_length=200)]


def _period(
    first_day: Annotated[
        date | None, Query(alias="from", description="The first UTC day; 29 days before `to` when absent")
    ] = None,
    last_day: Annotated[
        date | None, Query(alias="to", description="The last UTC day; today when absent")
    ] = None,
    route: _Filter = None,
    variant: _Filter = None,
    team: Annotated[str | None, Query(max_length=200, description="Empty: of keys without a team")] = None,
    key: Annotated[str | None, Query(max_length=200, description="A key's id")] = None,
) -> Period:
    last = last_day or datetime.now(UTC).date()
    first = first_day or max(date.min + _DEFAULT, last) - _DEFAULT
    if first > last:
        raise InvalidDefinition("from", f"{first} is after the last day, {last}")
    if (last - first).days >= LONGEST_DAYS:
        raise InvalidDefinition("from", f"at most {LONGEST_DAYS} days at a time; ask for part after part")
    given: dict[Grouping, str | None] = {"route": route, "variant": variant, "team": team, "key": key}
    return Period(first, last, {name: value for name, value in given.items() if value is not None})


def _groups(
    group_by: Annotated[
        str,
        Query(max_length=100, description="Some of `day,route,variant,team,key`; rows are in their order"),
    ] = "day",
) -> list[Grouping]:
    names = [name.strip() for name in group_by.split(",")]
    groups = [known for name in names for known in _KNOWN if known == name]
    if len(groups) != len(names) or len(set(groups)) != len(groups):
        raise InvalidDefinition(
            "group_by", f"must be some of {', '.join(_KNOWN)}, each once, with commas between"
        )
    return groups


@router.get("")
async def show_usage(
    database: Database,
    paging: Paged,
    period: Annotated[Period, Depends(_period)],
    groups: Annotated[list[Grouping], Depends(_groups)],
) -> UsageView:
    """Show requests, tokens and cost over some days, by what is asked for, and all together. It is what
    gateways served: copies for shadows are not in it. An answer is in it a moment after it was given."""
    position: Any = tuple[tuple(date if name == "day" else str for name in groups)]  # type: ignore[misc]
    asked = paging.page(position)
    async with database.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        sums = await usage_reading.totals(connection, period)
        found = await usage_reading.page(connection, period, groups, asked)
    shown = paging.items(found, UsageRowView.of_row)
    return UsageView(
        first_day=period.first_day,
        last_day=period.last_day,
        group_by=list(groups),
        totals=UsedView.of(sums),
        items=shown.items,
        next_cursor=shown.next_cursor,
    )
