"""Shares of feedback are summed in columns of their own, beside the scores of the same feedback."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_24_1"
down_revision = "2026_11_23_15"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql" / revision


def upgrade() -> None:
    """Rename what was summed for shares, and let the views read it there."""
    for path in sorted(SQL.glob("[0-9]*.sql")):
        _run(path)


def downgrade() -> None:
    """Name it as before. Where a mean reads the same feedback, two columns then have one name."""
    _run(SQL / "down.sql")


def _run(path: Path) -> None:
    """Run SQL as it is written: no colon or percent sign in it means a parameter."""
    statements = path.read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
