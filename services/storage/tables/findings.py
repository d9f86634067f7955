"""Results: what analysts read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.storage.tables.base import TransactionId, metadata, utc


def _result_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("statistic", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("comparison_to", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("level", sa.Float(53)),
        sa.Column("point", sa.Float(53)),
        sa.Column("lower", sa.Float(53)),
        sa.Column("upper", sa.Float(53)),
        sa.Column("p_value", sa.Float(53)),
        sa.Column("adjusted_p_value", sa.Float(53)),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("always_valid", sa.Boolean, nullable=False),
        sa.Column("exploratory", sa.Boolean, nullable=False),
        sa.Column("insufficient", sa.Text),
        utc("as_of"),
    )


_RESULT_KEY = (
    "experiment_id", "phase", "metric", "segment", "statistic", "variant", "comparison_to", "method",
)  # fmt: skip


experiment_results = sa.Table(
    "experiment_results",
    metadata,
    *_result_columns(),
    sa.PrimaryKeyConstraint(*_RESULT_KEY),
    comment="The newest results in long form: a row for each statistic of a metric, segment and variant.",
)

experiment_results_history = sa.Table(
    "experiment_results_history",
    metadata,
    *_result_columns(),
    sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("occasion", sa.Text, nullable=False),
    sa.Column("decision_id", sa.Uuid),
    sa.PrimaryKeyConstraint(*_RESULT_KEY, "recorded_at", "occasion"),
    sa.CheckConstraint("occasion IN ('hour', 'decision', 'end')", name="occasion"),
    comment="The results as they were seen each hour, at each decision, and at the end of a phase.",
)

results_progress = sa.Table(
    "results_progress",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("read_up_to", TransactionId, nullable=False),
    sa.Column("is_over", sa.Boolean, nullable=False),
    utc("as_of", now=True),
    comment="Up to which transactions the results of a phase contain what was counted.",
)
