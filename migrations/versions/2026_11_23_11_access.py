"""Roles, teams, expiry and limits: what opening the gateway to others needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "2026_11_23_11"
down_revision = "2026_11_23_10"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create teams, and say of keys and routes what they may do and use."""
    op.create_table(
        "teams",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("limits", pg.JSONB(none_as_null=True)),
        sa.Column("created_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_teams")),
        comment="Who keys belong to; a team's keys share its limits.",
    )
    role = sa.Column("role", sa.Text, nullable=False, server_default=sa.text("'client'"))
    op.add_column("credentials", role)
    op.create_check_constraint(
        op.f("ck_credentials_role"), "credentials", "role IN ('client', 'viewer', 'editor', 'admin')"
    )
    op.create_table_comment("credentials", "Keys of clients and of people, as SHA-256 hashes.")
    op.add_column("credentials", sa.Column("team_key", sa.Text))
    op.create_index(op.f("ix_credentials_team_key"), "credentials", ["team_key"])
    op.create_foreign_key(op.f("fk_credentials_team_key"), "credentials", "teams", ["team_key"], ["key"])
    op.add_column("credentials", sa.Column("expires_at", UTC))
    op.add_column("credentials", sa.Column("last_used_at", UTC))
    op.add_column("credentials", sa.Column("rotated_from", sa.Text))
    op.create_index(op.f("ix_credentials_rotated_from"), "credentials", ["rotated_from"])
    op.add_column("credentials", sa.Column("limits", pg.JSONB(none_as_null=True)))
    op.add_column("routes", sa.Column("limits", pg.JSONB(none_as_null=True)))
    op.add_column("routes", sa.Column("unit_limits", pg.JSONB(none_as_null=True)))
    recorded = sa.Column("record_content", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("routes", recorded)


def downgrade() -> None:
    """Drop it again. Keys of the control api go with it: an older release would take them for clients'."""
    op.drop_column("routes", "record_content")
    op.drop_column("routes", "unit_limits")
    op.drop_column("routes", "limits")
    op.execute("DELETE FROM credentials WHERE role <> 'client'")
    for name in ("limits", "rotated_from", "last_used_at", "expires_at"):
        op.drop_column("credentials", name)
    op.drop_constraint(op.f("fk_credentials_team_key"), "credentials", type_="foreignkey")
    op.drop_column("credentials", "team_key")
    op.drop_constraint(op.f("ck_credentials_role"), "credentials")
    op.drop_column("credentials", "role")
    op.create_table_comment("credentials", "Clients' keys, as SHA-256 hashes.")
    op.drop_table("teams")
