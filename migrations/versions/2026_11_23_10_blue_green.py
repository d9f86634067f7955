"""Blue-green deployments: slots, health checks, and keys that may force a variant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "2026_11_23_10"
down_revision = "2026_11_23_9"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create what blue-green deployments need."""
    scopes: sa.Column[list[str]] = sa.Column(
        "scopes", pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")
    )
    op.add_column("credentials", scopes)
    slot = sa.Column("active_slot", sa.Text, nullable=False, server_default=sa.text("'blue'"))
    op.add_column("allocations", slot)
    op.create_check_constraint(
        op.f("ck_allocations_active_slot"), "allocations", "active_slot IN ('blue', 'green')"
    )
    op.add_column("allocations", sa.Column("idle_variant", sa.Text))
    op.create_index(
        "uq_experiments_one_running_blue_green",
        "experiments",
        ["route_key"],
        unique=True,
        postgresql_where=sa.text("kind IN ('blue_green', 'canary') AND status IN ('running', 'paused')"),
    )
    _create_health_checks()


def downgrade() -> None:
    """Drop it again, and every deployment with it: an older release knows no experiment of that kind."""
    op.drop_table("health_checks")
    op.execute(
        "DELETE FROM experiment_phases USING experiments "
        "WHERE experiments.experiment_id = experiment_phases.experiment_id "
        "AND experiments.kind = 'blue_green'"
    )
    op.execute("DELETE FROM experiments WHERE kind = 'blue_green'")
    op.drop_index("uq_experiments_one_running_blue_green", table_name="experiments")
    op.drop_column("allocations", "idle_variant")
    op.drop_constraint(op.f("ck_allocations_active_slot"), "allocations")
    op.drop_column("allocations", "active_slot")
    op.drop_column("credentials", "scopes")


def _create_health_checks() -> None:
    op.create_table(
        "health_checks",
        sa.Column("health_check_id", sa.Uuid, nullable=False),
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("slot", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("allocation_version", sa.BigInteger, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("checks", pg.JSONB, nullable=False),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("checked_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("slot IN ('blue', 'green')", name=op.f("ck_health_checks_slot")),
        sa.CheckConstraint(
            "occasion IN ('start', 'by_hand', 'switch', 'rollback')", name=op.f("ck_health_checks_occasion")
        ),
        sa.PrimaryKeyConstraint("health_check_id", name=op.f("pk_health_checks")),
        comment="What health checks of a slot's variant expected and what came; the newest one counts.",
    )
    op.create_index("ix_health_checks_experiment", "health_checks", ["experiment_id", "checked_at"])
