"""Who may do what, and who did it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.storage.tables.base import metadata, utc

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("limits", pg.JSONB(none_as_null=True)),
    utc("created_at", now=True),
    utc("updated_at", now=True),
    comment="Who keys belong to; a team's keys share its limits.",
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("key_hash", sa.Text, nullable=False, unique=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("routes", pg.ARRAY(sa.Text)),
    sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("role", sa.Text, nullable=False, server_default=sa.text("'client'")),
    sa.Column("team_key", sa.Text, sa.ForeignKey("teams.key"), index=True),
    utc("created_at", now=True),
    utc("expires_at", nullable=True),
    utc("revoked_at", nullable=True),
    utc("last_used_at", nullable=True),
    sa.Column("rotated_from", sa.Text, index=True),
    sa.Column("limits", pg.JSONB(none_as_null=True)),
    sa.CheckConstraint("role IN ('client', 'viewer', 'editor', 'admin')", name="role"),
    comment="Keys of clients and of people, as SHA-256 hashes.",
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", sa.BigInteger, sa.Identity(), primary_key=True),
    utc("at", now=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("before", pg.JSONB),
    sa.Column("after", pg.JSONB),
    sa.Column("reason", sa.Text),
    sa.Index("ix_audit_subject", "subject", "audit_id"),
    comment="Every change: who, what, before, after.",
)
