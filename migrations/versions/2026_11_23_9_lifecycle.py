"""The lifecycle after the ramp: stages, approvals, freezes; what a freeze dropped may be decided again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_9"
down_revision = "2026_11_23_8"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)
STEPS = "uq_decisions_one_step_per_allocation"
PHASE_BEFORE = "The present phase, from 1; a changed split of an A/B test begins the next."
PHASE = (
    "The present phase, from 1; a changed split of an A/B test begins the next, and so does the watch "
    "after a promotion."
)
STAGE = (
    "How far it has come: 'ramp' on its way up, 'deployed' and not served yet, 'watch' promoted and watched "
    "against a holdback."
)
APPROVED = "The allocation for which a person approved what comes next."


def upgrade() -> None:
    """Add stages, approvals and freezes."""
    stage = sa.Column("stage", sa.Text, nullable=False, server_default=sa.text("'ramp'"), comment=STAGE)
    op.add_column("experiments", stage)
    op.add_column("experiments", sa.Column("approved_version", sa.BigInteger, comment=APPROVED))
    op.create_check_constraint(
        op.f("ck_experiments_stage"), "experiments", "stage IN ('ramp', 'deployed', 'watch')"
    )
    op.alter_column("experiments", "phase", comment=PHASE, existing_comment=PHASE_BEFORE)
    released = sa.Column("released", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("decisions", released)
    _index_steps("action IN ('advance', 'promote') AND NOT released")
    op.create_table(
        "freezes",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_freezes")),
        comment="Where nothing but rollbacks happens by itself: a route's key, or * for all routes.",
    )


def downgrade() -> None:
    """Drop them again. What is watched becomes what an older release can hold: a ramp at a high share."""
    op.drop_table("freezes")
    op.execute("DELETE FROM decisions WHERE released")
    _index_steps("action IN ('advance', 'promote')")
    op.drop_column("decisions", "released")
    op.alter_column("experiments", "phase", comment=PHASE_BEFORE, existing_comment=PHASE)
    op.drop_constraint(op.f("ck_experiments_stage"), "experiments")
    op.drop_column("experiments", "approved_version")
    op.drop_column("experiments", "stage")


def _index_steps(where: str) -> None:
    op.drop_index(STEPS, table_name="decisions")
    op.create_index(
        STEPS,
        "decisions",
        ["experiment_id", "allocation_version"],
        unique=True,
        postgresql_where=sa.text(where),
    )
