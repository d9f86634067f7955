"""Messages to webhooks: written in the transaction that they tell of, sent by whoever takes them.

Triggers on ``audit`` and ``decisions`` write them (see the migration), so that nothing that changes something
can forget to tell of it, and a decision waits for no further statement.

Who takes a message takes its webhook for ``TAKEN_FOR``, and holds no transaction while it sends: a receiver
that hangs keeps neither a connection nor a lock. So each webhook gets one message at a time, in the order in
which they are due, and a sender that dies gives it back by dying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import NotFound
from services.domain.webhook import Webhook
from services.storage.paging import Listed, Page, listed
from services.storage.tables import webhook_deliveries, webhooks

DeliveryState = Literal["waiting", "delivered", "failed"]

TAKEN_FOR = timedelta(seconds=60)
"""Longer than any try takes."""
KEPT_FOR = timedelta(days=30)
ROWS_AT_ONCE = 2_000
"""The most rows that one statement deletes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to a webhook; ``tries`` counts this one too."""

    delivery_id: UUID
    event: str
    body: dict[str, Any]
    tries: int
    webhook: Webhook


async def take(connection: AsyncConnection) -> Delivery | None:
    """Take the message that is due first, and its webhook; None where nothing is due.

    Nobody else is given a message of the same webhook before its try is booked, or the time is over.
    """
    messages = webhook_deliveries.c
    due = (
        sa.select(messages.delivery_id, messages.tries, webhooks.c.key, webhooks.c.definition)
        .join(webhooks, webhooks.c.key == messages.webhook_key)
        .where(
            messages.state == "waiting",
            messages.next_try_at <= sa.func.now(),
            webhooks.c.busy_until.is_(None) | (webhooks.c.busy_until <= sa.func.now()),
            webhooks.c.definition["enabled"].as_boolean(),
        )
        .order_by(messages.next_try_at, messages.created_at)
        .limit(1)
        .with_for_update(of=webhooks, skip_locked=True)
    )
    found = (await connection.execute(due)).one_or_none()
    if found is None:
        return None
    # The message was read before the webhook was locked: another sender may have had both since.
    started = await connection.execute(
        sa.update(webhook_deliveries)
        .where(
            messages.delivery_id == found.delivery_id,
            messages.state == "waiting",
            messages.tries == found.tries,
        )
        .values(tries=messages.tries + 1)
        .returning(messages.delivery_id, messages.event, messages.body, messages.tries)
    )
    row = started.one_or_none()
    if row is None:
        return None
    await _set_busy_until(connection, found.key, sa.func.clock_timestamp() + TAKEN_FOR)
    return Delivery(
        row.delivery_id, row.event, row.body, row.tries, msgspec.convert(found.definition, Webhook)
    )


async def book_delivered(connection: AsyncConnection, delivery: Delivery, status: int) -> None:
    """Book that the receiver took the message."""
    await _book(
        connection,
        delivery,
        state="delivered",
        last_status=status,
        last_error=None,
        delivered_at=sa.func.clock_timestamp(),
    )


async def book_failed(
    connection: AsyncConnection,
    delivery: Delivery,
    *,
    status: int | None,
    error: str,
    next_try_after: timedelta | None,
) -> None:
    """Book a failed try, and when the next one is due; None where it was the last."""
    following: dict[str, Any] = {"state": "failed"}
    if next_try_after is not None:
        following = {"next_try_at": sa.func.clock_timestamp() + next_try_after}
    await _book(connection, delivery, last_status=status, last_error=error, **following)


async def try_again(connection: AsyncConnection, webhook_key: str, delivery_id: UUID) -> Mapping[str, Any]:
    """Have a message sent again now, whatever came of it before, and return it. Raises NotFound."""
    messages = webhook_deliveries.c
    moved = await connection.execute(
        sa.update(webhook_deliveries)
        .where(messages.delivery_id == delivery_id, messages.webhook_key == webhook_key)
        .values(state="waiting", tries=0, next_try_at=sa.func.now(), delivered_at=None)
        .returning(*messages)
    )
    row = moved.mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"webhook {webhook_key!r} has no delivery {delivery_id}; "
            f"GET /v1/webhooks/{webhook_key}/deliveries lists them"
        )
    return dict(row)


async def page(
    connection: AsyncConnection,
    webhook_key: str,
    asked: Page,
    *,
    state: DeliveryState | None = None,
    event: str | None = None,
) -> Listed[Mapping[str, Any]]:
    """Return a page of the messages to a webhook, newest first."""
    messages = webhook_deliveries.c
    query = sa.select(webhook_deliveries).where(messages.webhook_key == webhook_key)
    if state is not None:
        query = query.where(messages.state == state)
    if event is not None:
        query = query.where(messages.event == event)
    order = (messages.created_at, messages.delivery_id)
    return await listed(connection, query, asked, lambda row: dict(row._mapping), *order, newest_first=True)  # noqa: SLF001


async def prune(connection: AsyncConnection) -> int:
    """Forget a bounded number of messages of long ago; return how many."""
    messages = webhook_deliveries.c
    old = sa.select(messages.delivery_id).where(messages.created_at < sa.func.now() - KEPT_FOR)
    forget = sa.delete(webhook_deliveries).where(messages.delivery_id.in_(old.limit(ROWS_AT_ONCE)))
    return (await connection.execute(forget)).rowcount


async def _book(connection: AsyncConnection, delivery: Delivery, **values: Any) -> None:
    """Write what came of a try, and give the webhook back; nothing where somebody began another one since."""
    messages = webhook_deliveries.c
    same_try = (messages.delivery_id == delivery.delivery_id, messages.tries == delivery.tries)
    booked = await connection.execute(sa.update(webhook_deliveries).where(*same_try).values(**values))
    if booked.rowcount:
        await _set_busy_until(connection, delivery.webhook.key, sa.null())


async def _set_busy_until(connection: AsyncConnection, key: str, moment: sa.ColumnElement[Any]) -> None:
    await connection.execute(sa.update(webhooks).where(webhooks.c.key == key).values(busy_until=moment))
