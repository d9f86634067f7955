"""Shadows: their part of an allocation, comparisons, kept texts, coverage."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "2026_11_23_6"
down_revision = "2026_11_23_5"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create what shadows need."""
    op.add_column("allocations", sa.Column("shadow", pg.JSONB))
    op.create_index(
        "uq_experiments_one_running_shadow",
        "experiments",
        ["route_key"],
        unique=True,
        postgresql_where=sa.text("kind = 'shadow' AND status IN ('running', 'paused')"),
    )
    _create_comparisons()
    _create_texts()
    _create_coverage()


def downgrade() -> None:
    """Drop it again, and every shadow with it: an older release knows no experiment of that kind."""
    for table in ("shadow_coverage", "comparison_texts", "comparisons"):
        op.drop_table(table)
    op.execute(
        "DELETE FROM experiment_phases USING experiments "
        "WHERE experiments.experiment_id = experiment_phases.experiment_id AND experiments.kind = 'shadow'"
    )
    op.execute("DELETE FROM experiments WHERE kind = 'shadow'")
    op.drop_index("uq_experiments_one_running_shadow", table_name="experiments")
    op.drop_column("allocations", "shadow")


def _side(name: str) -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(f"{name}_variant", sa.Text, nullable=False),
        sa.Column(f"{name}_status", sa.SmallInteger, nullable=False),
        sa.Column(f"{name}_http_status", sa.Integer, nullable=False),
        sa.Column(f"{name}_latency_us", sa.BigInteger, nullable=False),
        sa.Column(f"{name}_first_token_us", sa.BigInteger),
        sa.Column(f"{name}_prompt_tokens", sa.BigInteger),
        sa.Column(f"{name}_completion_tokens", sa.BigInteger),
        sa.Column(f"{name}_cost_nanos", sa.BigInteger),
    )


def _create_comparisons() -> None:
    op.create_table(
        "comparisons",
        sa.Column("comparison_id", sa.Uuid, nullable=False),
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("route_key", sa.Text, nullable=False),
        sa.Column("unit_hash", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", UTC, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        *_side("production"),
        *_side("shadow"),
        sa.Column("is_exact", sa.Boolean),
        sa.Column("is_normalised", sa.Boolean),
        sa.Column("similarity", sa.Float(53)),
        sa.Column("tool_calls_match", sa.Boolean),
        sa.PrimaryKeyConstraint("comparison_id", name=op.f("pk_comparisons")),
        comment=(
            "A row for each mirrored request: what production did with it, what the shadow did, and how much "
            "alike the answers are, which is empty where one of the two gave none. comparison_id is the "
            "request's id."
        ),
    )
    op.create_index("ix_comparisons_experiment", "comparisons", ["experiment_id", "phase", "occurred_at"])


def _create_texts() -> None:
    op.create_table(
        "comparison_texts",
        sa.Column("comparison_id", sa.Uuid, nullable=False),
        sa.Column("production", sa.Text, nullable=False),
        sa.Column("shadow", sa.Text, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("comparison_id", name=op.f("pk_comparison_texts")),
        comment="The texts of compared answers, where an experiment keeps them, until they expire.",
    )
    op.create_index("ix_comparison_texts_expires_at", "comparison_texts", ["expires_at"])


def _create_coverage() -> None:
    op.create_table(
        "shadow_coverage",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("gateway", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("n", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("seen_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "phase", "gateway", "kind", name=op.f("pk_shadow_coverage")),
        comment=(
            "What became of the requests that each gateway sampled for a shadow: sampled, compared, failed, "
            "shed_<reason>; and cost_nanos, what the shadow's answers cost."
        ),
    )
