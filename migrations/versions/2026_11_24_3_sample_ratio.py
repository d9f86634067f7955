"""The comment on metric says what a sample ratio has there: nothing, since it is of no metric."""

from __future__ import annotations

from alembic import op

revision = "2026_11_24_3"
down_revision = "2026_11_24_2"
branch_labels = None
depends_on = None

TABLES = ("experiment_results", "experiment_results_history")


def upgrade() -> None:
    """Say what is there."""
    _comment("The metric''s key; empty for sample_ratio, which is said of the units themselves.")


def downgrade() -> None:
    """Say what was said before."""
    _comment("The metric''s key; ''units'' for what is said of the units themselves, such as sample_ratio.")


def _comment(text: str) -> None:
    for table in TABLES:
        op.execute(f"COMMENT ON COLUMN {table}.metric IS '{text}'")
