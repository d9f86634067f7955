"""How much traffic a route had lately, whether or not an experiment ran."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import route_counts


@dataclass(frozen=True, slots=True)
class RouteTraffic:
    """The traffic of one route over the last ``minutes``, which may be fewer than were asked for."""

    minutes: int
    requests: int
    errors: int
    content_filters: int
    latency_us: int

    @property
    def requests_per_second(self) -> float:
        """The mean rate; 0 where there was no traffic."""
        return self.requests / (60 * self.minutes) if self.minutes else 0.0


async def recent(connection: AsyncConnection, route_key: str, *, minutes: int) -> RouteTraffic:
    """Return the route's traffic since its first request within the last ``minutes``."""
    counts = route_counts.c
    now: sa.ColumnElement[int] = sa.literal_column("floor(extract(epoch FROM now()) / 60)::bigint")
    sums = (counts.requests, counts.errors, counts.content_filters, counts.latency_us_sum)
    query = sa.select(
        now - sa.func.min(counts.tick) + 1,
        *(sa.func.sum(column) for column in sums),
    ).where(counts.route_key == route_key, counts.tick > now - minutes)
    row = (await connection.execute(query)).one()
    return RouteTraffic(*(int(value or 0) for value in row))
