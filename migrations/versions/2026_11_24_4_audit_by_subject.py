"""The changes of one subject are found without reading all of them: each stopped experiment shows its own."""

from __future__ import annotations

from alembic import op

revision = "2026_11_24_4"
down_revision = "2026_11_24_3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the audit by subject, in order."""
    op.create_index("ix_audit_subject", "audit", ["subject", "audit_id"])


def downgrade() -> None:
    """Read all of it again."""
    op.drop_index("ix_audit_subject", "audit")
