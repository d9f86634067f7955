"""What the comparisons of an ended shadow came to, which stays when they are deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "2026_11_23_13"
down_revision = "2026_11_23_12"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "shadow_sums",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("sums", pg.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "phase", "bucket", name=op.f("pk_shadow_sums")),
        comment=(
            "What the comparisons of a shadow come to, by analysis bucket, kept when they are deleted some "
            "time after its end."
        ),
    )


def downgrade() -> None:
    """Drop it again; the report of a shadow whose comparisons are deleted is then empty."""
    op.drop_table("shadow_sums")
