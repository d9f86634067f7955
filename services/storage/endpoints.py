"""Endpoints: provider deployments, stored as they were last published."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.configuration import EndpointConfig
from services.domain.errors import Conflict, NotFound
from services.storage.identifiers import new_id
from services.storage.paging import Listed, Page, begins_with, listed
from services.storage.tables import endpoints


async def create(connection: AsyncConnection, endpoint: EndpointConfig) -> None:
    """Add an endpoint. Raises Conflict where the key is taken."""
    row = {"key": endpoint.key, "endpoint_id": new_id(), "definition": msgspec.to_builtins(endpoint)}
    added = insert(endpoints).values(row).on_conflict_do_nothing().returning(endpoints.c.key)
    if await connection.scalar(added) is None:
        raise Conflict(
            f"an endpoint {endpoint.key!r} exists already; change it with PUT, or take another key"
        )


async def update(connection: AsyncConnection, endpoint: EndpointConfig) -> None:
    """Store another definition of the endpoint."""
    await connection.execute(
        sa.update(endpoints)
        .where(endpoints.c.key == endpoint.key)
        .values(definition=msgspec.to_builtins(endpoint), updated_at=sa.func.now())
    )


async def get(connection: AsyncConnection, key: str, *, lock: bool = False) -> EndpointConfig:
    """Return an endpoint; with ``lock`` nobody else changes it until the transaction ends."""
    query = sa.select(endpoints.c.definition).where(endpoints.c.key == key)
    definition = await connection.scalar(query.with_for_update() if lock else query)
    if definition is None:
        raise NotFound(f"there is no endpoint {key!r}; GET /v1/endpoints lists them")
    return _endpoint(definition)


async def listing(connection: AsyncConnection) -> list[EndpointConfig]:
    """Return every endpoint, by key."""
    query = sa.select(endpoints.c.definition).order_by(endpoints.c.key)
    return [_endpoint(definition) for definition in await connection.scalars(query)]


async def page(
    connection: AsyncConnection, asked: Page, *, prefix: str | None = None
) -> Listed[EndpointConfig]:
    """Return a page of the endpoints, by key, or of those whose key begins with ``prefix``."""
    query = begins_with(sa.select(endpoints.c.key, endpoints.c.definition), endpoints.c.key, prefix)
    return await listed(connection, query, asked, lambda row: _endpoint(row.definition), endpoints.c.key)


def _endpoint(definition: Any) -> EndpointConfig:
    return msgspec.convert(definition, EndpointConfig)
