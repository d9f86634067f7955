"""Webhooks: who is told, and what is to be delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "2026_11_23_7"
down_revision = "2026_11_23_6"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)
CLOCK = sa.text("clock_timestamp()")

ANNOUNCE = """
CREATE FUNCTION headgate_announce(event text, data jsonb) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
INSERT INTO webhook_deliveries (delivery_id, webhook_key, event, body)
SELECT gen_random_uuid(), webhooks.key, event,
    jsonb_build_object('type', event, 'timestamp', to_json(now()), 'data', data)
FROM webhooks
WHERE (webhooks.definition ->> 'enabled')::boolean
    AND (webhooks.definition -> 'events' = '[]'
        OR webhooks.definition -> 'events' ? event
        OR webhooks.definition -> 'events' ? (split_part(event, '.', 1) || '.*'));
END
"""

ON_AUDIT = """
CREATE FUNCTION headgate_announce_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM headgate_announce(
        split_part(NEW.subject, '/', 1) || '.' || NEW.action,
        jsonb_build_object('audit_id', NEW.audit_id, 'subject', NEW.subject, 'actor', NEW.actor,
            'action', NEW.action, 'reason', NEW.reason, 'before', NEW.before, 'after', NEW.after)
    );
    RETURN NULL;
END $$
"""

# What a decision was computed from is large, and is where it can be read with the decision.
ON_DECISION = """
CREATE FUNCTION headgate_announce_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM headgate_announce('decision.' || NEW.state,
        (to_jsonb(NEW) - 'inputs' - 'variant_key' - 'next_share_bp') || jsonb_build_object(
            'variant', NEW.variant_key, 'next_share', NEW.next_share_bp / 10000.0,
            'experiment', experiments.key, 'route', experiments.route_key))
    FROM (SELECT) AS always
    LEFT JOIN experiments ON experiments.experiment_id = NEW.experiment_id;
    RETURN NULL;
END $$
"""

TRIGGERS = (
    "CREATE TRIGGER announce AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION headgate_announce_audit()",
    "CREATE TRIGGER announce AFTER INSERT ON decisions"
    " FOR EACH ROW EXECUTE FUNCTION headgate_announce_decision()",
    "CREATE TRIGGER announce_state AFTER UPDATE OF state ON decisions"
    " FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)"
    " EXECUTE FUNCTION headgate_announce_decision()",
)

COMMENTS = (
    "COMMENT ON FUNCTION headgate_announce(text, jsonb) IS"
    " 'Leaves a message for every webhook that wants to be told of the event.'",
    "COMMENT ON FUNCTION headgate_announce_audit() IS 'Tells webhooks of a change.'",
    "COMMENT ON FUNCTION headgate_announce_decision() IS"
    " 'Tells webhooks of a decision, and of what came of it.'",
)


def upgrade() -> None:
    """Create the tables, and the triggers that leave deliveries in them."""
    op.create_table(
        "webhooks",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("webhook_id", sa.Uuid, nullable=False),
        sa.Column("definition", pg.JSONB, nullable=False),
        sa.Column("busy_until", UTC),
        sa.Column("created_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("webhook_id", name=op.f("uq_webhooks_webhook_id")),
        comment=(
            "Who is told of decisions and changes. Signing secrets are references, never values. busy_until: "
            "somebody is sending it a message."
        ),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.Uuid, nullable=False),
        sa.Column("webhook_key", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("body", pg.JSONB, nullable=False),
        sa.Column("state", sa.Text, server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("tries", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("next_try_at", UTC, server_default=CLOCK, nullable=False),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", UTC, server_default=CLOCK, nullable=False),
        sa.Column("delivered_at", UTC),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_state")
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_deliveries")),
        comment="Messages to webhooks, each written in the transaction it tells of, and what came of it.",
    )
    op.create_index(
        "ix_webhook_deliveries_webhook", "webhook_deliveries", ["webhook_key", "created_at", "delivery_id"]
    )
    op.create_index(
        "ix_webhook_deliveries_waiting",
        "webhook_deliveries",
        ["next_try_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    for statement in (ANNOUNCE, ON_AUDIT, ON_DECISION, *TRIGGERS, *COMMENTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TRIGGER announce ON audit")
    op.execute("DROP TRIGGER announce ON decisions")
    op.execute("DROP TRIGGER announce_state ON decisions")
    op.execute("DROP FUNCTION headgate_announce_audit()")
    op.execute("DROP FUNCTION headgate_announce_decision()")
    op.execute("DROP FUNCTION headgate_announce(text, jsonb)")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
