"""Every test of a goal or secondary metric has a corrected p-value, and the comment of its column says so."""

from __future__ import annotations

from alembic import op

revision = "2026_11_24_2"
down_revision = "2026_11_24_1"
branch_labels = None
depends_on = None

TABLES = ("experiment_results", "experiment_results_history")

BEFORE = (
    "Corrected for everything that is tested beside it (Holm over goals, Benjamini-Hochberg over secondary "
    "metrics and over segments): the one to compare with alpha, on the row that decides."
)
AFTER = (
    "p_value corrected for everything that is tested beside it by the same method (Holm over goals, "
    "Benjamini-Hochberg over secondary metrics and over segments): the one to compare with alpha. The "
    "verdict is that of the sequential absolute_difference, with _cuped where there is such a row; the "
    "relative_difference asks the same and has the same. NULL for what is not corrected."
)


def upgrade() -> None:
    """Say which p-values are corrected."""
    _say(AFTER)


def downgrade() -> None:
    """Say it as before."""
    _say(BEFORE)


def _say(comment: str) -> None:
    for table in TABLES:
        op.execute(f"COMMENT ON COLUMN {table}.adjusted_p_value IS '{comment}'")
