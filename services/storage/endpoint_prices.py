"""What endpoints' tokens cost from when on: a row for each change, never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.configuration import ConfigVersion, EndpointConfig, Prices
from services.storage.paging import Listed, Page, listed
from services.storage.tables import endpoint_prices


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Prices from ``effective_at`` on; ``prices`` None: from then on there are none."""

    effective_at: datetime
    version: ConfigVersion
    prices: Prices | None
    actor: str


async def record(
    connection: AsyncConnection, before: EndpointConfig | None, after: EndpointConfig, *, actor: str
) -> None:
    """Keep an endpoint's prices where they are not as before. The caller holds the endpoint."""
    prices = after.prices
    if prices == (None if before is None else before.prices):
        return
    timeline, counter = after.version
    values = {
        "endpoint_key": after.key,
        "config_timeline": timeline,
        "config_counter": counter,
        # Not now(): of two transactions, the one that began first may get the endpoint last.
        "effective_at": sa.func.clock_timestamp(),
        "input_per_million": prices and prices.input_per_million,
        "cached_input_per_million": prices and prices.cached_input_per_million,
        "output_per_million": prices and prices.output_per_million,
        "actor": actor,
    }
    await connection.execute(sa.insert(endpoint_prices).values(values))


async def page(connection: AsyncConnection, endpoint_key: str, asked: Page) -> Listed[PriceChange]:
    """Return a page of an endpoint's prices, newest first."""
    rows = endpoint_prices.c
    query = sa.select(endpoint_prices).where(rows.endpoint_key == endpoint_key)
    order = (rows.config_timeline, rows.config_counter)
    return await listed(connection, query, asked, _change, *order, newest_first=True)


def _change(row: sa.Row[Any]) -> PriceChange:
    prices = None
    if row.input_per_million is not None:
        prices = Prices(
            input_per_million=row.input_per_million,
            output_per_million=row.output_per_million,
            cached_input_per_million=row.cached_input_per_million,
        )
    return PriceChange(row.effective_at, (row.config_timeline, row.config_counter), prices, row.actor)
