"""A/B tests: their splits, metrics, sums by analysis bucket, and results."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.types import UserDefinedType

revision = "2026_11_23_4"
down_revision = "2026_11_23_3"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)
LATENCY_COUNTS = (
    "latency_below_p50",
    "latency_p50_to_p75",
    "latency_p75_to_p90",
    "latency_p90_to_p95",
    "latency_p95_to_p99",
    "latency_above_p99",
)
COUNTS_KEY = ["experiment_id", "phase", "tick", "treatment_share_bp", "role"]
RESULT_KEY = [
    "experiment_id", "phase", "metric", "segment", "statistic", "variant", "comparison_to", "method",
]  # fmt: skip
NEW_TABLES = (
    "results_progress",
    "experiment_results_history",
    "experiment_results",
    "segment_values",
    "bucket_sums",
    "bucket_ledgers",
    "bucket_progress",
    "data_quality_counts",
    "metrics",
    "experiment_phases",
)


class TransactionId(UserDefinedType[int]):
    """``xid8``."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in SQL."""
        return "xid8"


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, UTC, server_default=sa.text("now()"), nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, server_default=sa.text("0"), nullable=False)


def upgrade() -> None:
    """Widen the counts; create what A/B tests need."""
    op.add_column("allocations", sa.Column("test", pg.JSONB))
    op.add_column("decisions", sa.Column("variant_key", sa.Text))
    op.create_index(
        "uq_experiments_one_running_ab_test",
        "experiments",
        ["route_key"],
        unique=True,
        postgresql_where=sa.text("kind = 'ab_test' AND status IN ('running', 'paused')"),
    )
    op.drop_constraint(op.f("ck_unit_chunks_event"), "unit_chunks", type_="check")
    op.execute(
        "COMMENT ON TABLE unit_chunks IS "
        "'Which units, or reports, were seen before, as packed 64-bit hashes by kind of event.'"
    )
    _widen_counts()
    op.add_column(
        "exposures", sa.Column("variant_index", sa.SmallInteger, server_default=sa.text("0"), nullable=False)
    )
    op.execute("UPDATE exposures SET variant_index = 1 WHERE role = 'treatment'")
    _create_definitions()
    _create_bucket_tables()
    _create_results()


def downgrade() -> None:
    """Drop it again. Counts of a test's second and later treatments are lost."""
    for table in NEW_TABLES:
        op.drop_table(table)
    op.drop_column("exposures", "variant_index")
    op.execute("DELETE FROM experiment_counts WHERE variant_index > 1")
    op.drop_constraint(op.f("pk_experiment_counts"), "experiment_counts", type_="primary")
    op.create_primary_key(op.f("pk_experiment_counts"), "experiment_counts", COUNTS_KEY)
    for name in ("variant_index", *LATENCY_COUNTS):
        op.drop_column("experiment_counts", name)
    op.execute(
        "COMMENT ON TABLE unit_chunks IS 'Which units were seen for the first time, as packed 64-bit hashes.'"
    )
    op.execute("DELETE FROM unit_chunks WHERE event NOT IN ('request', 'error', 'content_filter')")
    op.create_check_constraint(
        op.f("ck_unit_chunks_event"), "unit_chunks", "event IN ('request', 'error', 'content_filter')"
    )
    op.drop_index("uq_experiments_one_running_ab_test", table_name="experiments")
    op.drop_column("decisions", "variant_key")
    op.drop_column("allocations", "test")


def _widen_counts() -> None:
    op.add_column(
        "experiment_counts",
        sa.Column("variant_index", sa.SmallInteger, server_default=sa.text("0"), nullable=False),
    )
    op.execute("UPDATE experiment_counts SET variant_index = 1 WHERE role = 'treatment'")
    op.alter_column("experiment_counts", "variant_index", server_default=None)
    op.drop_constraint(op.f("pk_experiment_counts"), "experiment_counts", type_="primary")
    op.create_primary_key(op.f("pk_experiment_counts"), "experiment_counts", [*COUNTS_KEY, "variant_index"])
    for name in LATENCY_COUNTS:
        op.add_column("experiment_counts", _count(name))


def _create_definitions() -> None:
    op.create_table(
        "experiment_phases",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("split", pg.JSONB),
        _now("started_at"),
        sa.Column("ended_at", UTC),
        sa.PrimaryKeyConstraint("experiment_id", "phase", name=op.f("pk_experiment_phases")),
        comment=(
            "The stretches of each experiment with a fixed split design; split is empty for a canary's ramp."
        ),
    )
    op.execute(
        "INSERT INTO experiment_phases (experiment_id, phase, started_at, ended_at) "
        "SELECT experiment_id, phase, started_at, stopped_at FROM experiments WHERE started_at IS NOT NULL"
    )
    op.create_table(
        "metrics",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("metric_id", sa.Uuid, nullable=False),
        sa.Column("definition", pg.JSONB, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_metrics")),
        sa.UniqueConstraint("metric_id", name=op.f("uq_metrics_metric_id")),
        comment=("Metrics of this installation, beside the built-in ones; a test keeps those it began with."),
    )
    op.create_table(
        "data_quality_counts",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        _count("n"),
        sa.CheckConstraint(
            "kind IN ('multiply_exposed', 'late_outcomes', 'late_feedback', 'duplicate_feedback', "
            "'feedback', 'unread_feedback', 'unreadable_feedback')",
            name=op.f("ck_data_quality_counts_kind"),
        ),
        sa.PrimaryKeyConstraint("experiment_id", "phase", "kind", name=op.f("pk_data_quality_counts")),
        comment="What was noticed about an experiment's data while counting it.",
    )


def _create_bucket_tables() -> None:
    op.create_table(
        "bucket_progress",
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("next_offset", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("tick", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("sequences", pg.JSONB, server_default=sa.text("'{}'"), nullable=False),
        _now("flushed_at"),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_bucket_progress")),
        comment="How far the sums by analysis bucket are written; never ahead of partition_progress.",
    )
    # What was counted before there were such sums is not read again.
    op.execute(
        "INSERT INTO bucket_progress (topic, partition, epoch, next_offset, tick) "
        "SELECT topic, partition, epoch, next_offset, tick FROM partition_progress"
    )
    op.create_table(
        "bucket_ledgers",
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("known", pg.JSONB, nullable=False),
        sa.PrimaryKeyConstraint(
            "topic", "partition", "experiment_id", "phase", name=op.f("pk_bucket_ledgers")
        ),
        comment="How many units of each event in unit_chunks, in order, the bucket sums contain already.",
    )
    op.create_table(
        "bucket_sums",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("variant_index", sa.SmallInteger, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("partitions", sa.Integer, nullable=False),
        sa.Column("columns", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("sums", sa.LargeBinary, nullable=False),
        sa.Column("sketches", sa.LargeBinary),
        sa.Column("stamp", TransactionId, server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.PrimaryKeyConstraint(
            "experiment_id", "phase", "variant_index", "segment", "partition", name=op.f("pk_bucket_sums")
        ),
        comment=(
            "For each variant and segment ('' or attribute=value): the sums of one partition's analysis "
            "buckets, 64-bit big-endian integers in the shape (columns, 2, buckets); 2 is the number of "
            "values and their sum, buckets are partition, partition + partitions, … The view metric_buckets "
            "unfolds them."
        ),
    )
    op.create_table(
        "segment_values",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("attribute", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        _now("first_seen_at"),
        sa.PrimaryKeyConstraint("experiment_id", "attribute", "value", name=op.f("pk_segment_values")),
        comment="The values by which an experiment's results are shown; later ones count as other.",
    )


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
        sa.Column("as_of", UTC, nullable=False),
    )


def _create_results() -> None:
    op.create_table(
        "experiment_results",
        *_result_columns(),
        sa.PrimaryKeyConstraint(*RESULT_KEY, name=op.f("pk_experiment_results")),
        comment="The newest results in long form: a row for each statistic of a metric, segment and variant.",
    )
    op.create_table(
        "experiment_results_history",
        *_result_columns(),
        sa.Column("recorded_at", UTC, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("decision_id", sa.Uuid),
        sa.CheckConstraint(
            "occasion IN ('hour', 'decision', 'end')", name=op.f("ck_experiment_results_history_occasion")
        ),
        sa.PrimaryKeyConstraint(
            *RESULT_KEY, "recorded_at", "occasion", name=op.f("pk_experiment_results_history")
        ),
        comment="The results as they were seen each hour, at each decision, and at the end of a phase.",
    )
    op.create_table(
        "results_progress",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("read_up_to", TransactionId, nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
        _now("as_of"),
        sa.PrimaryKeyConstraint("experiment_id", "phase", name=op.f("pk_results_progress")),
        comment="Up to which transactions the results of a phase contain what was counted.",
    )
