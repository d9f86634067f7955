"""What is counted, and how far.

Counts have no foreign keys to definitions: an outcome of an experiment that is gone is still counted.
"""

from __future__ import annotations

import sqlalchemy as sa

from services.storage.tables.base import TransactionId, count, metadata, utc

partition_progress = sa.Table(
    "partition_progress",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("next_offset", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("tick", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("last_timestamp_ms", sa.BigInteger),
    sa.Column("last_crc", sa.BigInteger),
    sa.Column("incarnation", sa.Integer, nullable=False, server_default=sa.text("1")),
    count("outcomes_counted"),
    count("duplicates_dropped"),
    count("records_lost"),
    count("dead_lettered"),
    utc("caught_up_at", nullable=True),
    utc("claimed_at", nullable=True),
    sa.Column("claimed_by", sa.Text),
    comment="How far each partition is counted; a compare-and-set in the transaction of the counts.",
)

gateway_progress = sa.Table(
    "gateway_progress",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("gateway", sa.Uuid, primary_key=True),
    sa.Column("next_sequence", sa.BigInteger, nullable=False),
    count("outcomes_counted"),
    count("duplicates_dropped"),
    count("missing"),
    utc("seen_at", now=True),
    comment="The next sequence number of each gateway incarnation: repeats and gaps show here.",
)

unit_chunks = sa.Table(
    "unit_chunks",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("chunk", sa.Integer, primary_key=True),
    sa.Column("units", sa.LargeBinary, nullable=False),
    comment="Which units, or reports, were seen before, as packed 64-bit hashes by kind of event.",
)

experiment_counts = sa.Table(
    "experiment_counts",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("tick", sa.BigInteger, primary_key=True),
    sa.Column("treatment_share_bp", sa.Integer, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("variant_index", sa.SmallInteger, primary_key=True, autoincrement=False),
    count("requests"),
    count("errors"),
    count("first_errors"),
    count("content_filters"),
    count("first_content_filters"),
    count("first_requests"),
    count("first_request_errors"),
    count("latency_us_sum"),
    count("latency_below_p50"),
    count("latency_p50_to_p75"),
    count("latency_p75_to_p90"),
    count("latency_p90_to_p95"),
    count("latency_p95_to_p99"),
    count("latency_above_p99"),
    sa.Column("stamp", TransactionId, nullable=False, server_default=sa.text("pg_current_xact_id()")),
    sa.CheckConstraint("role IN ('control', 'treatment')", name="role"),
    sa.Index("ix_experiment_counts_stamp", "experiment_id", "phase", "stamp"),
    comment="Counts by experiment, phase, minute, treatment share in force, and role.",
)

route_counts = sa.Table(
    "route_counts",
    metadata,
    sa.Column("route_key", sa.Text, primary_key=True),
    sa.Column("variant_key", sa.Text, primary_key=True),
    sa.Column("tick", sa.BigInteger, primary_key=True),
    count("requests"),
    count("errors"),
    count("content_filters"),
    count("latency_us_sum"),
    count("prompt_tokens"),
    count("completion_tokens"),
    comment="Counts of all traffic by route, variant and minute, whether or not an experiment runs.",
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("route_key", sa.Text, primary_key=True),
    sa.Column("variant_key", sa.Text, primary_key=True),
    sa.Column("team_key", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    count("requests"),
    count("errors"),
    count("prompt_tokens"),
    count("cached_tokens"),
    count("completion_tokens"),
    count("cost_nanos"),
    count("unpriced_requests"),
    sa.Column("last_tick", sa.BigInteger, nullable=False),
    comment=(
        "Who used how much, by UTC day and the partition that counted it; cost in billionths of a dollar. "
        "The views cost_by_day and usage_by_key add it up."
    ),
)

exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("experiment_id", sa.Uuid, nullable=False),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("unit_hash", sa.BigInteger, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("variant_index", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("variant_key", sa.Text, nullable=False),
    sa.Column("propensity", sa.Float(53), nullable=False),
    sa.Column("tick", sa.BigInteger, nullable=False),
    utc("exposed_at"),
    sa.Index("ix_exposures_experiment", "experiment_id", "phase", "tick"),
    comment="The first time each unit was served in an experiment and phase; hashes as signed numbers.",
)

data_quality_counts = sa.Table(
    "data_quality_counts",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    count("n"),
    sa.CheckConstraint(
        "kind IN ('multiply_exposed', 'late_outcomes', 'late_feedback', 'duplicate_feedback', 'feedback', "
        "'unread_feedback', 'unreadable_feedback')",
        name="kind",
    ),
    comment="What was noticed about an experiment's data while counting it.",
)
