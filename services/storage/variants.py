"""Variants: configurations to serve."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.configuration import VariantConfig
from services.domain.errors import Conflict, NotFound
from services.storage.identifiers import new_id
from services.storage.paging import Listed, Page, begins_with, listed
from services.storage.tables import variants


async def create(connection: AsyncConnection, variant: VariantConfig) -> None:
    """Add a variant. Raises Conflict where the key is taken."""
    row = {"key": variant.key, "variant_id": new_id(), "definition": msgspec.to_builtins(variant)}
    added = insert(variants).values(row).on_conflict_do_nothing().returning(variants.c.key)
    if await connection.scalar(added) is None:
        raise Conflict(f"a variant {variant.key!r} exists already; change it with PUT, or take another key")


async def update(connection: AsyncConnection, variant: VariantConfig) -> None:
    """Store another definition of the variant."""
    await connection.execute(
        sa.update(variants)
        .where(variants.c.key == variant.key)
        .values(definition=msgspec.to_builtins(variant), updated_at=sa.func.now())
    )


async def get(connection: AsyncConnection, key: str) -> VariantConfig:
    """Return a variant."""
    found = await by_keys(connection, [key])
    if key not in found:
        raise NotFound(f"there is no variant {key!r}; GET /v1/variants lists them")
    return found[key]


async def by_keys(connection: AsyncConnection, keys: Collection[str]) -> dict[str, VariantConfig]:
    """Return those of the variants that exist."""
    query = sa.select(variants.c.definition).where(variants.c.key.in_(keys))
    found = [_variant(definition) for definition in await connection.scalars(query)]
    return {variant.key: variant for variant in found}


async def listing(connection: AsyncConnection) -> list[VariantConfig]:
    """Return every variant, by key."""
    query = sa.select(variants.c.definition).order_by(variants.c.key)
    return [_variant(definition) for definition in await connection.scalars(query)]


async def page(
    connection: AsyncConnection, asked: Page, *, prefix: str | None = None
) -> Listed[VariantConfig]:
    """Return a page of the variants, by key, or of those whose key begins with ``prefix``."""
    query = begins_with(sa.select(variants.c.key, variants.c.definition), variants.c.key, prefix)
    return await listed(connection, query, asked, lambda row: _variant(row.definition), variants.c.key)


def _variant(definition: Any) -> VariantConfig:
    return msgspec.convert(definition, VariantConfig)
