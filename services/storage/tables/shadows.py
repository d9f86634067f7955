"""What the answers of shadows were compared to, and what is kept of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.storage.tables.base import count, metadata, utc


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


comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("comparison_id", sa.Uuid, primary_key=True),
    sa.Column("experiment_id", sa.Uuid, nullable=False),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("route_key", sa.Text, nullable=False),
    sa.Column("unit_hash", sa.BigInteger, nullable=False),
    utc("occurred_at"),
    sa.Column("streamed", sa.Boolean, nullable=False),
    *_side("production"),
    *_side("shadow"),
    sa.Column("is_exact", sa.Boolean),
    sa.Column("is_normalised", sa.Boolean),
    sa.Column("similarity", sa.Float(53)),
    sa.Column("tool_calls_match", sa.Boolean),
    sa.Index("ix_comparisons_experiment", "experiment_id", "phase", "occurred_at"),
    comment=(
        "A row for each mirrored request: what production did with it, what the shadow did, and how much "
        "alike the answers are, which is empty where one of the two gave none. comparison_id is the "
        "request's id."
    ),
)

comparison_texts = sa.Table(
    "comparison_texts",
    metadata,
    sa.Column("comparison_id", sa.Uuid, primary_key=True),
    sa.Column("production", sa.Text, nullable=False),
    sa.Column("shadow", sa.Text, nullable=False),
    utc("expires_at"),
    sa.Index("ix_comparison_texts_expires_at", "expires_at"),
    comment="The texts of compared answers, where an experiment keeps them, until they expire.",
)

shadow_coverage = sa.Table(
    "shadow_coverage",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("gateway", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    count("n"),
    utc("seen_at", now=True),
    comment=(
        "What became of the requests that each gateway sampled for a shadow: sampled, compared, failed, "
        "shed_<reason>; and cost_nanos, what the shadow's answers cost."
    ),
)

shadow_sums = sa.Table(
    "shadow_sums",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("bucket", sa.SmallInteger, primary_key=True),
    sa.Column("sums", pg.JSONB, nullable=False),
    comment=(
        "What the comparisons of a shadow come to, by analysis bucket, kept when they are deleted some "
        "time after its end."
    ),
)

shadow_costs = sa.Table(
    "shadow_costs",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("route_key", sa.Text, primary_key=True),
    sa.Column("variant_key", sa.Text, primary_key=True),
    count("requests"),
    count("prompt_tokens"),
    count("completion_tokens"),
    count("cost_nanos"),
    count("unpriced_requests"),
    comment=(
        "What the deleted comparisons of a shadow cost, by UTC day. The view shadow_cost_by_day adds those "
        "that are still there."
    ),
)
