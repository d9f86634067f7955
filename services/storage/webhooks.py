"""Webhooks: who is told of decisions and changes."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import Conflict, NotFound
from services.domain.webhook import Webhook
from services.storage.identifiers import new_id
from services.storage.paging import Listed, Page, listed
from services.storage.tables import webhook_deliveries, webhooks


async def create(connection: AsyncConnection, webhook: Webhook) -> None:
    """Add a webhook. Raises Conflict where the key is taken."""
    row = {"key": webhook.key, "webhook_id": new_id(), "definition": msgspec.to_builtins(webhook)}
    added = insert(webhooks).values(row).on_conflict_do_nothing().returning(webhooks.c.key)
    if await connection.scalar(added) is None:
        raise Conflict(f"a webhook {webhook.key!r} exists already; change it with PUT, or take another key")


async def get(connection: AsyncConnection, key: str, *, lock: bool = False) -> Webhook:
    """Return a webhook; with ``lock`` nobody else changes it until the transaction ends."""
    query = sa.select(webhooks.c.definition).where(webhooks.c.key == key)
    definition = await connection.scalar(query.with_for_update() if lock else query)
    if definition is None:
        raise NotFound(f"there is no webhook {key!r}; GET /v1/webhooks lists them")
    return msgspec.convert(definition, Webhook)


async def page(connection: AsyncConnection, asked: Page) -> Listed[Webhook]:
    """Return a page of the webhooks, by key."""
    query = sa.select(webhooks.c.key, webhooks.c.definition)
    return await listed(
        connection, query, asked, lambda row: msgspec.convert(row.definition, Webhook), webhooks.c.key
    )


async def update(connection: AsyncConnection, webhook: Webhook) -> None:
    """Store another definition of the webhook."""
    await connection.execute(
        sa.update(webhooks)
        .where(webhooks.c.key == webhook.key)
        .values(definition=msgspec.to_builtins(webhook), updated_at=sa.func.now())
    )


async def delete(connection: AsyncConnection, key: str) -> None:
    """Forget a webhook, what was sent to it, and what still waits to be."""
    await connection.execute(sa.delete(webhooks).where(webhooks.c.key == key))
    await connection.execute(sa.delete(webhook_deliveries).where(webhook_deliveries.c.webhook_key == key))
