"""What goes out, to Kafka and to webhooks; and answers to the api's callers, to be given again."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.storage.tables.base import metadata, utc

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("outbox_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("partition", sa.Integer),
    sa.Column("value", sa.LargeBinary),
    utc("created_at", now=True),
    comment="What goes from Postgres to Kafka, written in the transaction that changed the state.",
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("webhook_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    utc("busy_until", nullable=True),
    utc("created_at", now=True),
    utc("updated_at", now=True),
    comment=(
        "Who is told of decisions and changes. Signing secrets are references, never values. busy_until: "
        "somebody is sending it a message."
    ),
)


# Not now(): what one transaction leaves is sent in the order in which it happened.
_CLOCK = sa.text("clock_timestamp()")


webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("delivery_id", sa.Uuid, primary_key=True),
    sa.Column("webhook_key", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", pg.JSONB, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'waiting'")),
    sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("next_try_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_CLOCK),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_CLOCK),
    utc("delivered_at", nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    sa.Index("ix_webhook_deliveries_webhook", "webhook_key", "created_at", "delivery_id"),
    comment="Messages to webhooks, each written in the transaction it tells of, and what came of it.",
)
sa.Index(
    "ix_webhook_deliveries_waiting",
    webhook_deliveries.c.next_try_at,
    postgresql_where=sa.text("state = 'waiting'"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("headers", pg.JSONB, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column(
        "created_at", sa.TIMESTAMP(timezone=True), nullable=False, index=True, server_default=sa.text("now()")
    ),
    comment="Answers to requests that carried an Idempotency-Key, each written with what was changed.",
)
