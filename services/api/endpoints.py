"""``/v1/endpoints``: provider deployments."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter

from services.api.common import PROBLEMS, Database, publish
from services.api.endpoint_bodies import EndpointBody, NewEndpoint, PricesBody
from services.api.paging import Paged, Prefix
from services.api.roles import takes
from services.api.schemas import VerbBody
from services.api.transactions import Acting, Changing, Creating, Route, Transaction
from services.api.usage_views import PriceChangeView
from services.api.views import EndpointView, Items
from services.domain.configuration import ConfigVersion, EndpointConfig
from services.storage import audit, configuration, endpoint_prices, endpoints

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"], responses=PROBLEMS, route_class=Route)


@router.post("", status_code=201)
@takes("admin")
async def create_endpoint(body: NewEndpoint, transaction: Creating) -> EndpointView:
    """Create an endpoint. Its secret is a reference; gateways look it up where they run."""
    connection = transaction.connection
    endpoint = body.config(body.key, await configuration.next_version(connection))
    await endpoints.create(connection, endpoint)
    await endpoint_prices.record(connection, None, endpoint, actor=transaction.actor)
    await publish(connection, endpoint)
    await audit.record(
        connection,
        actor=transaction.actor,
        action="create",
        subject=f"endpoint/{endpoint.key}",
        after=_plain(endpoint),
    )
    return EndpointView.of(endpoint)


@router.get("")
async def list_endpoints(database: Database, paging: Paged, q: Prefix = None) -> Items[EndpointView]:
    """List the endpoints, by key."""
    async with database.connect() as connection:
        found = await endpoints.page(connection, paging.page(tuple[str]), prefix=q)
    return paging.items(found, EndpointView.of)


@router.get("/{key}")
async def show_endpoint(key: str, database: Database) -> EndpointView:
    """Show an endpoint."""
    async with database.connect() as connection:
        return EndpointView.of(await endpoints.get(connection, key))


@router.put("/{key}")
@takes("admin")
async def replace_endpoint(key: str, body: EndpointBody, transaction: Changing) -> EndpointView:
    """Replace an endpoint's definition, for all variants that ask it. One that is drained stays drained."""
    body.check_key(key)
    before = await _seen(transaction, key)
    defined = body.config(key, await configuration.next_version(transaction.connection))
    after = msgspec.structs.replace(defined, drained=before.drained)
    await _change(transaction, "replace", before, after)
    return EndpointView.of(after)


@router.put("/{key}/prices")
@takes("admin")
async def set_prices(key: str, body: PricesBody, transaction: Changing) -> EndpointView:
    """Set what an endpoint's tokens cost from now on, and nothing else. What was counted stays as it is."""
    before = await _seen(transaction, key)
    version = await configuration.next_version(transaction.connection)
    after = msgspec.structs.replace(before, prices=body.prices(), version=version)
    await _change(transaction, "set_prices", before, after)
    return EndpointView.of(after)


@router.get("/{key}/prices")
async def list_prices(key: str, database: Database, paging: Paged) -> Items[PriceChangeView]:
    """List what an endpoint's tokens cost and from when on, newest first."""
    page = paging.page(ConfigVersion)
    async with database.connect() as connection:
        await endpoints.get(connection, key)
        found = await endpoint_prices.page(connection, key, page)
    return paging.items(found, PriceChangeView.of)


@router.post("/{key}/drain")
async def drain_endpoint(key: str, transaction: Acting, body: VerbBody | None = None) -> EndpointView:
    """Give the endpoint no new requests; those under way are finished. Safe to repeat."""
    return await _set_drained(transaction, key, body or VerbBody(), drained=True)


@router.post("/{key}/undrain")
async def undrain_endpoint(key: str, transaction: Acting, body: VerbBody | None = None) -> EndpointView:
    """Give the endpoint requests again. Safe to repeat."""
    return await _set_drained(transaction, key, body or VerbBody(), drained=False)


async def _set_drained(transaction: Transaction, key: str, body: VerbBody, *, drained: bool) -> EndpointView:
    before = await _seen(transaction, key)
    if before.drained is drained:
        return EndpointView.of(before)
    version = await configuration.next_version(transaction.connection)
    after = msgspec.structs.replace(before, drained=drained, version=version)
    await _change(transaction, "drain" if drained else "undrain", before, after, body.reason)
    return EndpointView.of(after)


async def _seen(transaction: Transaction, key: str) -> EndpointConfig:
    """Return the endpoint, held, where it is as the caller has seen it."""
    endpoint = await endpoints.get(transaction.connection, key, lock=True)
    transaction.check_seen(EndpointView.of(endpoint))
    return endpoint


async def _change(
    transaction: Transaction,
    action: str,
    before: EndpointConfig,
    after: EndpointConfig,
    reason: str | None = None,
) -> None:
    await endpoints.update(transaction.connection, after)
    await endpoint_prices.record(transaction.connection, before, after, actor=transaction.actor)
    await publish(transaction.connection, after)
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action=action,
        subject=f"endpoint/{after.key}",
        before=_plain(before),
        after=_plain(after),
        reason=reason,
    )


def _plain(endpoint: EndpointConfig) -> dict[str, Any]:
    return EndpointView.of(endpoint).model_dump()
