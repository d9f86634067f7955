"""``/v1/endpoints``: provider deployments."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.common import ADMIN, PROBLEMS, Database, publish
from services.api.schemas import EndpointBody, NewEndpoint, VerbBody
from services.api.views import EndpointView, Items
from services.domain.configuration import EndpointConfig
from services.storage import audit, configuration, endpoints

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"], responses=PROBLEMS)


@router.post("", status_code=201)
async def create_endpoint(body: NewEndpoint, database: Database) -> EndpointView:
    """Create an endpoint. Its secret is a reference; gateways look it up where they run."""
    async with database.begin() as connection:
        endpoint = body.config(body.key, await configuration.next_version(connection))
        await endpoints.create(connection, endpoint)
        await publish(connection, endpoint)
        await audit.record(
            connection,
            actor=ADMIN,
            action="create",
            subject=f"endpoint/{endpoint.key}",
            after=_plain(endpoint),
        )
    return EndpointView.of(endpoint)


@router.get("")
async def list_endpoints(database: Database) -> Items[EndpointView]:
    """List the endpoints."""
    async with database.connect() as connection:
        return Items(items=[EndpointView.of(one) for one in await endpoints.listing(connection)])


@router.get("/{key}")
async def show_endpoint(key: str, database: Database) -> EndpointView:
    """Show an endpoint."""
    async with database.connect() as connection:
        return EndpointView.of(await endpoints.get(connection, key))


@router.put("/{key}")
async def replace_endpoint(key: str, body: EndpointBody, database: Database) -> EndpointView:
    """Replace an endpoint's definition, for all variants that ask it. One that is drained stays drained."""
    async with database.begin() as connection:
        before = await endpoints.get(connection, key, lock=True)
        defined = body.config(key, await configuration.next_version(connection))
        after = msgspec.structs.replace(defined, drained=before.drained)
        await _change(connection, "replace", before, after)
    return EndpointView.of(after)


@router.post("/{key}/drain")
async def drain_endpoint(key: str, database: Database, body: VerbBody | None = None) -> EndpointView:
    """Give the endpoint no new requests; those under way are finished. Safe to repeat."""
    return await _set_drained(database, key, body or VerbBody(), drained=True)


@router.post("/{key}/undrain")
async def undrain_endpoint(key: str, database: Database, body: VerbBody | None = None) -> EndpointView:
    """Give the endpoint requests again. Safe to repeat."""
    return await _set_drained(database, key, body or VerbBody(), drained=False)


async def _set_drained(database: AsyncEngine, key: str, body: VerbBody, *, drained: bool) -> EndpointView:
    async with database.begin() as connection:
        before = await endpoints.get(connection, key, lock=True)
        if before.drained is drained:
            return EndpointView.of(before)
        version = await configuration.next_version(connection)
        after = msgspec.structs.replace(before, drained=drained, version=version)
        await _change(connection, "drain" if drained else "undrain", before, after, body.reason)
    return EndpointView.of(after)


async def _change(
    connection: AsyncConnection,
    action: str,
    before: EndpointConfig,
    after: EndpointConfig,
    reason: str | None = None,
) -> None:
    await endpoints.update(connection, after)
    await publish(connection, after)
    await audit.record(
        connection,
        actor=ADMIN,
        action=action,
        subject=f"endpoint/{after.key}",
        before=_plain(before),
        after=_plain(after),
        reason=reason,
    )


def _plain(endpoint: EndpointConfig) -> dict[str, Any]:
    return EndpointView.of(endpoint).model_dump()
