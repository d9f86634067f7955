"""``/v1/variants``: configurations to serve."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import PROBLEMS, Database, publish_route
from services.api.paging import Paged, Prefix
from services.api.transactions import Changing, Creating, Route
from services.api.variant_bodies import NewVariant, VariantBody
from services.api.views import Items, VariantView
from services.domain.configuration import VariantConfig
from services.domain.errors import Conflict, InvalidDefinition
from services.storage import audit, configuration, endpoints, experiments, routes, variants

router = APIRouter(prefix="/v1/variants", tags=["variants"], responses=PROBLEMS, route_class=Route)


@router.post("", status_code=201)
async def create_variant(body: NewVariant, transaction: Creating) -> VariantView:
    """Create a variant: which endpoints to ask, for which model, with which prompt and parameters."""
    connection, variant = transaction.connection, body.config(body.key)
    await _check_endpoints(connection, variant)
    await variants.create(connection, variant)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="create",
        subject=f"variant/{variant.key}",
        after=VariantView.of(variant).model_dump(),
    )
    return VariantView.of(variant)


@router.get("")
async def list_variants(database: Database, paging: Paged, q: Prefix = None) -> Items[VariantView]:
    """List the variants, by key."""
    async with database.connect() as connection:
        found = await variants.page(connection, paging.page(tuple[str]), prefix=q)
    return paging.items(found, VariantView.of)


@router.get("/{key}")
async def show_variant(key: str, database: Database) -> VariantView:
    """Show a variant."""
    async with database.connect() as connection:
        return VariantView.of(await variants.get(connection, key))


@router.put("/{key}")
async def replace_variant(key: str, body: VariantBody, transaction: Changing) -> VariantView:
    """Replace a variant's definition, on every route it serves. Refused while an experiment measures it."""
    body.check_key(key)
    connection = transaction.connection
    await configuration.hold_routes(connection)
    before = await variants.get(connection, key)
    transaction.check_seen(VariantView.of(before))
    await _check_not_measured(connection, key)
    after = body.config(key)
    await _check_endpoints(connection, after)
    await variants.update(connection, after)
    for route_key in await routes.serving(connection, key):
        await publish_route(connection, route_key)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="replace",
        subject=f"variant/{key}",
        before=VariantView.of(before).model_dump(),
        after=VariantView.of(after).model_dump(),
    )
    return VariantView.of(after)


async def _check_endpoints(connection: AsyncConnection, variant: VariantConfig) -> None:
    known = {endpoint.key for endpoint in await endpoints.listing(connection)}
    for i, key in enumerate(variant.endpoint_keys):
        if key not in known:
            raise InvalidDefinition(f"endpoints[{i}]", f"there is no endpoint {key!r}; create it first")


async def _check_not_measured(connection: AsyncConnection, key: str) -> None:
    for experiment in await experiments.live(connection):
        if key in experiment.variant_keys:
            raise Conflict(
                f"variant {key!r} takes part in the {experiment.status} experiment {experiment.key!r}, whose "
                "evidence a change would blur; create another variant, or end the experiment first"
            )
