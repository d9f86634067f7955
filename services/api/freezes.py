"""``/v1/freeze`` and ``/v1/routes/{key}/freeze``: stopping what happens by itself, but for rollbacks.

A person may act as before. One call freezes, one lifts; each may be repeated.
"""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import PROBLEMS, Database
from services.api.etags import Resource
from services.api.schemas import Body, Reason
from services.api.transactions import Changing, Route, Transaction
from services.api.views import FreezeView
from services.domain.restraint import EVERYWHERE, Freeze
from services.storage import audit, configuration, freezes, routes

router = APIRouter(prefix="/v1", tags=["freezes"], responses=PROBLEMS, route_class=Route)

FREEZE = "/freeze"


class FreezeBody(Body):
    """Why nothing is to happen by itself."""

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "launch week"}})
    reason: Reason


class FreezeState(Resource):
    """Whether a route is frozen, or all are, and by which freezes: that of all routes, and its own."""

    frozen: bool
    freezes: list[FreezeView]


@router.get(FREEZE)
async def show_freeze(database: Database) -> FreezeState:
    """Show whether all routes are frozen. A route that is frozen by itself says so at its own address."""
    async with database.connect() as connection:
        return await _state(connection, EVERYWHERE)


@router.put(FREEZE)
async def freeze_everything(body: FreezeBody, transaction: Changing) -> FreezeState:
    """Freeze all routes: nothing happens by itself but rollbacks, until the freeze is lifted."""
    return await _put(transaction, EVERYWHERE, body.reason)


@router.delete(FREEZE)
async def lift_freeze(transaction: Changing) -> FreezeState:
    """Lift the freeze of all routes. Routes that are frozen by themselves stay so."""
    return await _lift(transaction, EVERYWHERE)


@router.get("/routes/{key:path}" + FREEZE)
async def show_freeze_of_route(key: str, database: Database) -> FreezeState:
    """Show whether a route is frozen, by itself or with all routes."""
    async with database.connect() as connection:
        await routes.get(connection, key)
        return await _state(connection, key)


@router.put("/routes/{key:path}" + FREEZE)
async def freeze_route(key: str, body: FreezeBody, transaction: Changing) -> FreezeState:
    """Freeze a route: nothing happens on it by itself but rollbacks, until the freeze is lifted."""
    return await _put(transaction, key, body.reason)


@router.delete("/routes/{key:path}" + FREEZE)
async def lift_freeze_of_route(key: str, transaction: Changing) -> FreezeState:
    """Lift a route's own freeze. A freeze of all routes holds on."""
    return await _lift(transaction, key)


async def _put(transaction: Transaction, scope: str, reason: str) -> FreezeState:
    connection = transaction.connection
    before = await _held(transaction, scope)
    after = await freezes.put(connection, scope, actor=transaction.actor, reason=reason)
    await _note(transaction, "freeze", scope, before, after)
    return await _state(connection, scope)


async def _lift(transaction: Transaction, scope: str) -> FreezeState:
    before = await _held(transaction, scope)
    if before is not None:
        await freezes.lift(transaction.connection, scope)
        await _note(transaction, "lift_freeze", scope, before, None)
    return await _state(transaction.connection, scope)


async def _held(transaction: Transaction, scope: str) -> Freeze | None:
    """Hold what is to be frozen or not, and return its freeze: meanwhile no decision is applied there."""
    connection = transaction.connection
    if scope == EVERYWHERE:
        await configuration.hold_routes(connection)
    else:
        await configuration.hold_variants(connection)
        await routes.get(connection, scope, lock=True)
    transaction.check_seen(await _state(connection, scope))
    return await freezes.get(connection, scope)


async def _state(connection: AsyncConnection, scope: str) -> FreezeState:
    found = await freezes.of_route(connection, scope)
    return FreezeState(frozen=bool(found), freezes=[FreezeView.of(freeze) for freeze in found])


async def _note(
    transaction: Transaction, action: str, scope: str, before: Freeze | None, after: Freeze | None
) -> None:
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action=action,
        subject=f"route/{scope}",
        before=None if before is None else asdict(before),
        after=None if after is None else asdict(after),
        reason=None if after is None else after.reason,
    )
