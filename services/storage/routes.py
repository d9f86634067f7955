"""Routes and their allocations. Whoever changes a route's traffic holds its row until the end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.allocation import Allocation, ShadowSplit, TestSplit
from services.domain.configuration import UnitFallback
from services.domain.errors import Conflict, NotFound, VersionConflict
from services.domain.limits import Limits
from services.storage.identifiers import new_id
from services.storage.paging import Listed, Page, begins_with, listed
from services.storage.tables import allocations, routes


@dataclass(frozen=True, slots=True)
class Route:
    """A route with the allocation in force, and the limits of all its requests and of each unit's."""

    key: str
    unit_fallback: UnitFallback
    allocation: Allocation
    created_at: datetime
    limits: Limits | None = None
    unit_limits: Limits | None = None
    record_content: bool = False
    """Whether prompts and answers may be kept."""


@dataclass(frozen=True, slots=True)
class AllocationRecord:
    """An allocation with who made it, when and why."""

    allocation: Allocation
    actor: str
    reason: str
    decision_id: UUID | None
    created_at: datetime


_SPLIT = tuple(allocations.c[field.name] for field in fields(Allocation))
_OWN = tuple(
    routes.c[name]
    for name in ("key", "unit_fallback", "created_at", "limits", "unit_limits", "record_content")
)
_IN_FORCE = sa.select(*_OWN, *_SPLIT).join(
    allocations,
    (allocations.c.route_key == routes.c.key) & (allocations.c.version == routes.c.allocation_version),
)


async def create(
    connection: AsyncConnection,
    key: str,
    *,
    stable: str,
    unit_fallback: UnitFallback,
    actor: str,
    limits: Limits | None = None,
    unit_limits: Limits | None = None,
    record_content: bool = False,
) -> Route:
    """Add a route that ``stable`` serves. Raises Conflict where the key is taken."""
    row = {"key": key, "route_id": new_id(), "unit_fallback": unit_fallback, "allocation_version": 1}
    row |= {**_limits(limits, unit_limits), "record_content": record_content}
    added = insert(routes).values(row).on_conflict_do_nothing().returning(routes.c.key)
    if await connection.scalar(added) is None:
        raise Conflict(f"a route {key!r} exists already; choose another key")
    first = _row(Allocation(key, 1, stable), actor=actor, reason="the route was created")
    await connection.execute(sa.insert(allocations).values(first))
    return await get(connection, key)


async def get(connection: AsyncConnection, key: str, *, lock: bool = False) -> Route:
    """Return a route; with ``lock`` nobody else changes its traffic until the transaction ends."""
    if lock:
        # A statement of its own: the join below must see what the previous holder committed.
        held = sa.select(routes.c.key).where(routes.c.key == key).with_for_update()
        await connection.execute(held)
    row = (await connection.execute(_IN_FORCE.where(routes.c.key == key))).one_or_none()
    if row is None:
        raise NotFound(f"there is no route {key!r}; GET /v1/routes lists them")
    return _route(row)


async def listing(connection: AsyncConnection) -> list[Route]:
    """Return every route, by key."""
    return [_route(row) for row in await connection.execute(_IN_FORCE.order_by(routes.c.key))]


async def page(connection: AsyncConnection, asked: Page, *, prefix: str | None = None) -> Listed[Route]:
    """Return a page of the routes, by key, or of those whose key begins with ``prefix``."""
    return await listed(connection, begins_with(_IN_FORCE, routes.c.key, prefix), asked, _route, routes.c.key)


async def serving(connection: AsyncConnection, variant_key: str) -> list[str]:
    """Return the keys of the routes that have a variant in the allocation in force."""
    uses = (
        (allocations.c.stable == variant_key)
        | (allocations.c.treatment == variant_key)
        | allocations.c.test["variants"].has_key(variant_key)
        | (allocations.c.shadow["variant"].astext == variant_key)
    )
    rows = await connection.execute(_IN_FORCE.where(uses).order_by(routes.c.key))
    return [row.key for row in rows]


async def set_limits(
    connection: AsyncConnection, key: str, limits: Limits | None, unit_limits: Limits | None
) -> None:
    """Store other limits of a route that the caller holds."""
    values = {**_limits(limits, unit_limits), "updated_at": sa.func.now()}
    await connection.execute(sa.update(routes).where(routes.c.key == key).values(values))


async def set_record_content(connection: AsyncConnection, key: str, record_content: bool) -> None:
    """Store whether contents of a route that the caller holds may be kept."""
    values = {"record_content": record_content, "updated_at": sa.func.now()}
    await connection.execute(sa.update(routes).where(routes.c.key == key).values(values))


async def reallocate(
    connection: AsyncConnection,
    allocation: Allocation,
    *,
    actor: str,
    reason: str,
    decision_id: UUID | None = None,
) -> None:
    """Put an allocation in force: a compare-and-set on the version before it."""
    moved = (
        sa.update(routes)
        .where(routes.c.key == allocation.route_key, routes.c.allocation_version == allocation.version - 1)
        .values(allocation_version=allocation.version, updated_at=sa.func.now())
        .returning(routes.c.key)
        .cte("moved")
    )
    row = _row(allocation, actor=actor, reason=reason, decision_id=decision_id)
    values = sa.select(*(sa.literal(value, allocations.c[name].type) for name, value in row.items()))
    append = sa.insert(allocations).from_select(list(row), values.select_from(moved))
    if await connection.scalar(append.returning(allocations.c.version)) is None:
        raise VersionConflict(f"route {allocation.route_key!r} was changed by somebody else; try again")


async def history(connection: AsyncConnection, key: str, asked: Page) -> Listed[AllocationRecord]:
    """Return a page of the route's allocations, newest first."""
    query = sa.select(allocations).where(allocations.c.route_key == key)
    return await listed(connection, query, asked, _record, allocations.c.version, newest_first=True)


async def share_before_pause(connection: AsyncConnection, route_key: str, experiment_id: UUID) -> int:
    """Return the last share above 0 that the experiment's treatment had, in basis points."""
    query = (
        sa.select(allocations.c.treatment_share_bp)
        .where(
            allocations.c.route_key == route_key,
            allocations.c.experiment_id == experiment_id,
            allocations.c.treatment_share_bp > 0,
        )
        .order_by(allocations.c.version.desc())
        .limit(1)
    )
    return int(await connection.scalar(query) or 0)


def _limits(limits: Limits | None, unit_limits: Limits | None) -> dict[str, Any]:
    return {"limits": msgspec.to_builtins(limits), "unit_limits": msgspec.to_builtins(unit_limits)}


def _row(
    allocation: Allocation, *, actor: str, reason: str, decision_id: UUID | None = None
) -> dict[str, Any]:
    split = {column.name: getattr(allocation, column.name) for column in _SPLIT}
    laid_over = {"test": allocation.test, "shadow": allocation.shadow}
    split |= {name: msgspec.to_builtins(part) for name, part in laid_over.items()}
    return split | {"decision_id": decision_id, "actor": actor, "reason": reason}


def _route(row: sa.Row[Any]) -> Route:
    limits, unit_limits = (msgspec.convert(stored, Limits | None) for stored in (row.limits, row.unit_limits))
    return Route(
        key=row.key,
        unit_fallback=row.unit_fallback,
        allocation=_allocation(row),
        created_at=row.created_at,
        limits=limits,
        unit_limits=unit_limits,
        record_content=row.record_content,
    )


def _record(row: sa.Row[Any]) -> AllocationRecord:
    return AllocationRecord(_allocation(row), row.actor, row.reason, row.decision_id, row.created_at)


def _allocation(row: sa.Row[Any]) -> Allocation:
    split = {column.name: getattr(row, column.name) for column in _SPLIT}
    test = None if row.test is None else msgspec.convert(row.test, TestSplit)
    shadow = None if row.shadow is None else msgspec.convert(row.shadow, ShadowSplit)
    return Allocation(**split | {"test": test, "shadow": shadow})
