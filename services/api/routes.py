"""``/v1/routes``: the names clients put in ``model``, and how their traffic is split."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.common import ADMIN, PROBLEMS, Database, publish_route
from services.api.schemas import NewRoute
from services.api.views import Items, PastAllocationView, RouteView
from services.domain.errors import InvalidDefinition
from services.storage import audit, configuration, routes, variants

router = APIRouter(prefix="/v1/routes", tags=["routes"], responses=PROBLEMS)

ALLOCATIONS = "/allocations"


@router.post("", status_code=201)
async def create_route(body: NewRoute, database: Database) -> RouteView:
    """Create a route that its stable variant serves."""
    if body.key.endswith(ALLOCATIONS):
        raise InvalidDefinition("key", f"must not end in {ALLOCATIONS}, which is an address of its own here")
    async with database.begin() as connection:
        await configuration.hold_variants(connection)
        if not await variants.by_keys(connection, [body.stable]):
            raise InvalidDefinition("stable", f"there is no variant {body.stable!r}; create it first")
        route = await routes.create(
            connection, body.key, stable=body.stable, unit_fallback=body.unit_fallback, actor=ADMIN
        )
        await publish_route(connection, route.key)
        await audit.record(
            connection,
            actor=ADMIN,
            action="create",
            subject=f"route/{route.key}",
            after=body.model_dump(),
        )
    return RouteView.of(route)


@router.get("")
async def list_routes(database: Database) -> Items[RouteView]:
    """List the routes."""
    async with database.connect() as connection:
        return Items(items=[RouteView.of(one) for one in await routes.listing(connection)])


# Route keys may hold slashes, so this address comes before the shorter one.
@router.get("/{key:path}" + ALLOCATIONS)
async def list_allocations(
    key: str, database: Database, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Items[PastAllocationView]:
    """List how the route's traffic was split, newest first, with who changed it and why."""
    async with database.connect() as connection:
        await routes.get(connection, key)
        records = await routes.history(connection, key, limit=limit)
    return Items(items=[PastAllocationView.of_record(record) for record in records])


@router.get("/{key:path}")
async def show_route(key: str, database: Database) -> RouteView:
    """Show a route and how its traffic is split now."""
    async with database.connect() as connection:
        return RouteView.of(await routes.get(connection, key))
