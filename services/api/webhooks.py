"""``/v1/webhooks``: who is told of decisions and changes, and what was delivered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query

from services.api.common import PROBLEMS, Database
from services.api.paging import Paged
from services.api.roles import takes
from services.api.transactions import Acting, Changing, Creating, Route, Transaction
from services.api.views import Items
from services.api.webhook_bodies import DeliveryView, NewWebhook, WebhookBody, WebhookView
from services.domain.webhook import Webhook
from services.storage import audit, deliveries, webhooks
from services.storage.deliveries import DeliveryState

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], responses=PROBLEMS, route_class=Route)


@router.post("", status_code=201)
@takes("admin")
async def create_webhook(body: NewWebhook, transaction: Creating) -> WebhookView:
    """Create a webhook: it is told of everything that happens from now on, of this too."""
    webhook = body.webhook(body.key)
    await webhooks.create(transaction.connection, webhook)
    await _note(transaction, "create", webhook.key, after=webhook)
    return WebhookView.of(webhook)


@router.get("")
async def list_webhooks(database: Database, paging: Paged) -> Items[WebhookView]:
    """List the webhooks, by key."""
    async with database.connect() as connection:
        found = await webhooks.page(connection, paging.page(tuple[str]))
    return paging.items(found, WebhookView.of)


@router.get("/{key}")
async def show_webhook(key: str, database: Database) -> WebhookView:
    """Show a webhook."""
    async with database.connect() as connection:
        return WebhookView.of(await webhooks.get(connection, key))


@router.put("/{key}")
@takes("admin")
async def replace_webhook(key: str, body: WebhookBody, transaction: Changing) -> WebhookView:
    """Replace a webhook's definition. What still waits to be sent goes where it says from now on."""
    body.check_key(key)
    before, after = await _seen(transaction, key), body.webhook(key)
    await webhooks.update(transaction.connection, after)
    await _note(transaction, "replace", key, before=before, after=after)
    return WebhookView.of(after)


@router.delete("/{key}")
@takes("admin")
async def delete_webhook(key: str, transaction: Changing) -> WebhookView:
    """Delete a webhook with everything that was or would be sent to it, and return what it was."""
    before = await _seen(transaction, key)
    await webhooks.delete(transaction.connection, key)
    await _note(transaction, "delete", key, before=before)
    return WebhookView.of(before)


@router.get("/{key}/deliveries")
async def list_deliveries(
    key: str,
    database: Database,
    paging: Paged,
    state: DeliveryState | None = None,
    event: Annotated[str | None, Query(max_length=100, description="Such as `decision.applied`")] = None,
) -> Items[DeliveryView]:
    """List what was or is to be sent to a webhook in the last 30 days, newest first."""
    page = paging.page(tuple[datetime, UUID])
    async with database.connect() as connection:
        await webhooks.get(connection, key)
        found = await deliveries.page(connection, key, page, state=state, event=event)
    return paging.items(found, DeliveryView.of)


@router.post("/{key}/deliveries/{delivery_id}/retry", status_code=202)
async def retry_delivery(key: str, delivery_id: UUID, transaction: Acting) -> DeliveryView:
    """Send a message again now, with the id it had."""
    await _seen(transaction, key)
    return DeliveryView.of(await deliveries.try_again(transaction.connection, key, delivery_id))


async def _seen(transaction: Transaction, key: str) -> Webhook:
    """Return the webhook, held, where it is as the caller has seen it."""
    webhook = await webhooks.get(transaction.connection, key, lock=True)
    transaction.check_seen(WebhookView.of(webhook))
    return webhook


async def _note(
    transaction: Transaction,
    action: str,
    key: str,
    *,
    before: Webhook | None = None,
    after: Webhook | None = None,
) -> None:
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action=action,
        subject=f"webhook/{key}",
        before=_plain(before),
        after=_plain(after),
    )


def _plain(webhook: Webhook | None) -> dict[str, Any] | None:
    return None if webhook is None else msgspec.to_builtins(webhook)
