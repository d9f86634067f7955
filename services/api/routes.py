"""``/v1/routes``: the names clients put in ``model``, and how their traffic is split."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import PROBLEMS, Database, publish_route
from services.api.freezes import FREEZE
from services.api.limit_bodies import limits_of
from services.api.paging import Paged, Prefix
from services.api.roles import check_role, takes
from services.api.route_bodies import NewRoute, RouteLimitsBody, RouteRecordingBody
from services.api.transactions import Changing, Creating, Route, Transaction
from services.api.views import Items, PastAllocationView, RouteView
from services.domain.errors import InvalidDefinition
from services.storage import audit, configuration, freezes, routes, variants

router = APIRouter(prefix="/v1/routes", tags=["routes"], responses=PROBLEMS, route_class=Route)

ALLOCATIONS = "/allocations"
LIMITS = "/limits"
RECORDING = "/recording"


@router.post("", status_code=201)
async def create_route(body: NewRoute, transaction: Creating) -> RouteView:
    """Create a route that its stable variant serves."""
    for ending in (ALLOCATIONS, FREEZE, LIMITS, RECORDING):
        if body.key.endswith(ending):
            raise InvalidDefinition("key", f"must not end in {ending}, which is an address of its own here")
    connection, actor = transaction.connection, transaction.actor
    limits, unit_limits = limits_of(body.limits), limits_of(body.unit_limits)
    if limits or unit_limits:
        check_role(transaction.caller, "admin", "setting limits")
    if body.record_content:
        check_role(transaction.caller, "admin", "having prompts and answers kept")
    await configuration.hold_variants(connection)
    if not await variants.by_keys(connection, [body.stable]):
        raise InvalidDefinition("stable", f"there is no variant {body.stable!r}; create it first")
    route = await routes.create(
        connection,
        body.key,
        stable=body.stable,
        unit_fallback=body.unit_fallback,
        actor=actor,
        limits=limits,
        unit_limits=unit_limits,
        record_content=bool(body.record_content),
    )
    await publish_route(connection, route.key)
    await audit.record(
        connection, actor=actor, action="create", subject=f"route/{route.key}", after=body.model_dump()
    )
    return await _view(connection, route)


@router.get("")
async def list_routes(database: Database, paging: Paged, q: Prefix = None) -> Items[RouteView]:
    """List the routes, by key."""
    async with database.connect() as connection:
        found = await routes.page(connection, paging.page(tuple[str]), prefix=q)
        frozen = await freezes.of_routes(connection, [one.key for one in found.items])
    return paging.items(found, lambda route: RouteView.of(route, frozen[route.key]))


@router.put("/{key:path}" + LIMITS)
@takes("admin")
async def set_limits(key: str, body: RouteLimitsBody, transaction: Changing) -> RouteView:
    """Replace what a route's requests may use, together and for each unit. `If-Match` is of the route."""
    before = await _held(transaction, key)
    limits, unit_limits = limits_of(body.limits), limits_of(body.unit_limits)
    await routes.set_limits(transaction.connection, key, limits, unit_limits)
    return await _changed(transaction, "set_limits", before, {"limits", "unit_limits"})


@router.put("/{key:path}" + RECORDING)
@takes("admin")
async def set_recording(key: str, body: RouteRecordingBody, transaction: Changing) -> RouteView:
    """Say whether prompts and answers of a route may be kept: in traces, and by shadows with `keep_text`.

    What was kept before stays until its own time is over. `If-Match` is of the route.
    """
    before = await _held(transaction, key)
    await routes.set_record_content(transaction.connection, key, body.record_content)
    return await _changed(transaction, "set_recording", before, {"record_content"})


# Route keys may hold slashes, so this address comes before the shorter one.
@router.get("/{key:path}" + ALLOCATIONS)
async def list_allocations(key: str, database: Database, paging: Paged) -> Items[PastAllocationView]:
    """List how the route's traffic was split, newest first, with who changed it and why."""
    async with database.connect() as connection:
        await routes.get(connection, key)
        found = await routes.history(connection, key, paging.page(tuple[int]))
    return paging.items(found, PastAllocationView.of_record)


@router.get("/{key:path}")
async def show_route(key: str, database: Database) -> RouteView:
    """Show a route and how its traffic is split now."""
    async with database.connect() as connection:
        return await _view(connection, await routes.get(connection, key))


async def _held(transaction: Transaction, key: str) -> RouteView:
    """Return the route, held, where it is as the caller has seen it."""
    connection = transaction.connection
    await configuration.hold_variants(connection)
    route = await _view(connection, await routes.get(connection, key, lock=True))
    transaction.check_seen(route)
    return route


async def _changed(transaction: Transaction, action: str, before: RouteView, fields: set[str]) -> RouteView:
    """Publish a route whose fields were changed, note the change, and return it as it is now."""
    connection, key = transaction.connection, before.key
    await publish_route(connection, key)
    after = await _view(connection, await routes.get(connection, key))
    await audit.record(
        connection,
        actor=transaction.actor,
        action=action,
        subject=f"route/{key}",
        before=before.model_dump(include=fields),
        after=after.model_dump(include=fields),
    )
    return after


async def _view(connection: AsyncConnection, route: routes.Route) -> RouteView:
    return RouteView.of(route, await freezes.of_route(connection, route.key))
