"""Every table. ``alembic check`` holds this module and ``migrations/`` together.

Counts have no foreign keys to definitions: an outcome of an experiment that is gone is still counted.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.types import UserDefinedType

from services.storage import column_comments

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class TransactionId(UserDefinedType[int]):
    """Postgres' 64-bit transaction id, ``xid8``: rows are stamped with it so that readers find new ones."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in SQL."""
        return "xid8"


def _utc(name: str, *, nullable: bool = False, now: bool = False) -> sa.Column[object]:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=nullable, server_default=default)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


installation = sa.Table(
    "installation",
    metadata,
    sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("installation_id", sa.Uuid, nullable=False),
    sa.Column("outcome_partitions", sa.Integer, nullable=False),
    _utc("created_at", now=True),
    sa.CheckConstraint('"only"', name="one_row"),
    comment="What was fixed when this installation was created.",
)

# --- definitions -----------------------------------------------------------------------------------------

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("endpoint_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    _utc("created_at", now=True),
    _utc("updated_at", now=True),
    comment="Provider deployments. Secrets are references (env:, file:, command:), never values.",
)

endpoint_prices = sa.Table(
    "endpoint_prices",
    metadata,
    sa.Column("endpoint_key", sa.Text, primary_key=True),
    sa.Column("config_timeline", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("config_counter", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("effective_at", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("input_per_million", sa.Float(53)),
    sa.Column("cached_input_per_million", sa.Float(53)),
    sa.Column("output_per_million", sa.Float(53)),
    sa.Column("actor", sa.Text, nullable=False),
    comment="What each endpoint's tokens cost from when on, append-only: a row for each change.",
)

variants = sa.Table(
    "variants",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("variant_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    _utc("created_at", now=True),
    _utc("updated_at", now=True),
    comment="Configurations to serve: endpoint pool, model, system prompt, parameters.",
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("route_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("unit_fallback", sa.Text, nullable=False),
    sa.Column("allocation_version", sa.BigInteger, nullable=False),
    sa.Column("limits", pg.JSONB(none_as_null=True)),
    sa.Column("unit_limits", pg.JSONB(none_as_null=True)),
    sa.Column("record_content", sa.Boolean, nullable=False, server_default=sa.false()),
    _utc("created_at", now=True),
    _utc("updated_at", now=True),
    comment="The names clients put in `model`. allocation_version guards every change.",
)

allocations = sa.Table(
    "allocations",
    metadata,
    sa.Column("route_key", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stable", sa.Text, nullable=False),
    sa.Column("experiment_id", sa.Uuid),
    sa.Column("treatment", sa.Text),
    sa.Column("treatment_share_bp", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("test", pg.JSONB(none_as_null=True)),
    sa.Column("shadow", pg.JSONB(none_as_null=True)),
    sa.Column("active_slot", sa.Text, nullable=False, server_default=sa.text("'blue'")),
    sa.Column("idle_variant", sa.Text),
    sa.Column("decision_id", sa.Uuid),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    _utc("created_at", now=True),
    sa.CheckConstraint("treatment_share_bp >= 0 AND treatment_share_bp < 10000", name="share"),
    sa.CheckConstraint("active_slot IN ('blue', 'green')", name="active_slot"),
    comment="How each route's traffic was split, append-only; the newest version is in force.",
)

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("route_key", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("conclusion", sa.Text),
    sa.Column("definition", pg.JSONB, nullable=False),
    sa.Column("control", sa.Text, nullable=False),
    sa.Column("phase", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("stage", sa.Text, nullable=False, server_default=sa.text("'ramp'")),
    sa.Column("approved_version", sa.BigInteger),
    _utc("created_at", now=True),
    _utc("started_at", nullable=True),
    _utc("step_started_at", nullable=True),
    _utc("stopped_at", nullable=True),
    sa.CheckConstraint("status IN ('draft', 'running', 'paused', 'stopped')", name="status"),
    sa.CheckConstraint("conclusion IN ('promoted', 'rolled_back', 'inconclusive')", name="conclusion"),
    sa.CheckConstraint("stage IN ('ramp', 'deployed', 'watch')", name="stage"),
    comment="Controlled changes on a route: draft, running, paused, stopped.",
)
sa.Index(
    "uq_experiments_one_running_canary",
    experiments.c.route_key,
    unique=True,
    postgresql_where=sa.text("kind = 'canary' AND status IN ('running', 'paused')"),
)
sa.Index(
    "uq_experiments_one_running_ab_test",
    experiments.c.route_key,
    unique=True,
    postgresql_where=sa.text("kind = 'ab_test' AND status IN ('running', 'paused')"),
)
sa.Index(
    "uq_experiments_one_running_shadow",
    experiments.c.route_key,
    unique=True,
    postgresql_where=sa.text("kind = 'shadow' AND status IN ('running', 'paused')"),
)
sa.Index(
    "uq_experiments_one_running_blue_green",
    experiments.c.route_key,
    unique=True,
    postgresql_where=sa.text("kind IN ('blue_green', 'canary') AND status IN ('running', 'paused')"),
)

health_checks = sa.Table(
    "health_checks",
    metadata,
    sa.Column("health_check_id", sa.Uuid, primary_key=True),
    sa.Column("experiment_id", sa.Uuid, nullable=False),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("variant", sa.Text, nullable=False),
    sa.Column("allocation_version", sa.BigInteger, nullable=False),
    sa.Column("occasion", sa.Text, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("checks", pg.JSONB, nullable=False),
    sa.Column("seconds", sa.Float(53), nullable=False),
    _utc("checked_at", now=True),
    sa.CheckConstraint("slot IN ('blue', 'green')", name="slot"),
    sa.CheckConstraint("occasion IN ('start', 'by_hand', 'switch', 'rollback')", name="occasion"),
    sa.Index("ix_health_checks_experiment", "experiment_id", "checked_at"),
    comment="What health checks of a slot's variant expected and what came; the newest one counts.",
)

experiment_phases = sa.Table(
    "experiment_phases",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("split", pg.JSONB(none_as_null=True)),
    _utc("started_at", now=True),
    _utc("ended_at", nullable=True),
    comment="The stretches of each experiment with a fixed split design; split is empty for a canary's ramp.",
)

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("metric_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    _utc("created_at", now=True),
    _utc("updated_at", now=True),
    comment="Metrics of this installation, beside the built-in ones; a test keeps those it began with.",
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("decision_id", sa.Uuid, primary_key=True),
    sa.Column("experiment_id", sa.Uuid, nullable=False, index=True),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("allocation_version", sa.BigInteger, nullable=False),
    sa.Column("next_step", sa.Integer),
    sa.Column("next_share_bp", sa.Integer),
    sa.Column("variant_key", sa.Text),
    sa.Column("evidence", pg.JSONB, nullable=False),
    sa.Column("inputs", pg.JSONB, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'recorded'")),
    sa.Column("state_reason", sa.Text),
    sa.Column("released", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("applied_version", sa.BigInteger),
    _utc("decided_at", now=True),
    _utc("applied_at", nullable=True),
    sa.CheckConstraint("action IN ('advance', 'promote', 'rollback')", name="action"),
    sa.CheckConstraint("state IN ('recorded', 'applied', 'dropped')", name="state"),
    comment="What was decided, by whom, on which evidence and counts, and what came of it.",
)
sa.Index(
    "uq_decisions_one_rollback_per_phase",
    decisions.c.experiment_id,
    decisions.c.phase,
    unique=True,
    postgresql_where=sa.text("action = 'rollback'"),
)
sa.Index(
    "uq_decisions_one_step_per_allocation",
    decisions.c.experiment_id,
    decisions.c.allocation_version,
    unique=True,
    postgresql_where=sa.text("action IN ('advance', 'promote') AND NOT released"),
)

freezes = sa.Table(
    "freezes",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    _utc("created_at", now=True),
    comment="Where nothing but rollbacks happens by itself: a route's key, or * for all routes.",
)

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("body", pg.JSONB, nullable=False),
    _utc("evaluated_at", now=True),
    comment="The newest evaluation of each experiment: what it waits for, as a sentence and as data.",
)

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("limits", pg.JSONB(none_as_null=True)),
    _utc("created_at", now=True),
    _utc("updated_at", now=True),
    comment="Who keys belong to; a team's keys share its limits.",
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("key_hash", sa.Text, nullable=False, unique=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("routes", pg.ARRAY(sa.Text)),
    sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("role", sa.Text, nullable=False, server_default=sa.text("'client'")),
    sa.Column("team_key", sa.Text, sa.ForeignKey("teams.key"), index=True),
    _utc("created_at", now=True),
    _utc("expires_at", nullable=True),
    _utc("revoked_at", nullable=True),
    _utc("last_used_at", nullable=True),
    sa.Column("rotated_from", sa.Text, index=True),
    sa.Column("limits", pg.JSONB(none_as_null=True)),
    sa.CheckConstraint("role IN ('client', 'viewer', 'editor', 'admin')", name="role"),
    comment="Keys of clients and of people, as SHA-256 hashes.",
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", sa.BigInteger, sa.Identity(), primary_key=True),
    _utc("at", now=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("before", pg.JSONB),
    sa.Column("after", pg.JSONB),
    sa.Column("reason", sa.Text),
    comment="Every change: who, what, before, after.",
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("outbox_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("partition", sa.Integer),
    sa.Column("value", sa.LargeBinary),
    _utc("created_at", now=True),
    comment="What goes from Postgres to Kafka, written in the transaction that changed the state.",
)

config_version = sa.Sequence("config_version", metadata=metadata)

# --- counting --------------------------------------------------------------------------------------------

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
    _count("outcomes_counted"),
    _count("duplicates_dropped"),
    _count("records_lost"),
    _count("dead_lettered"),
    _utc("caught_up_at", nullable=True),
    _utc("claimed_at", nullable=True),
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
    _count("outcomes_counted"),
    _count("duplicates_dropped"),
    _count("missing"),
    _utc("seen_at", now=True),
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
    _count("requests"),
    _count("errors"),
    _count("first_errors"),
    _count("content_filters"),
    _count("first_content_filters"),
    _count("first_requests"),
    _count("first_request_errors"),
    _count("latency_us_sum"),
    _count("latency_below_p50"),
    _count("latency_p50_to_p75"),
    _count("latency_p75_to_p90"),
    _count("latency_p90_to_p95"),
    _count("latency_p95_to_p99"),
    _count("latency_above_p99"),
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
    _count("requests"),
    _count("errors"),
    _count("content_filters"),
    _count("latency_us_sum"),
    _count("prompt_tokens"),
    _count("completion_tokens"),
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
    _count("requests"),
    _count("errors"),
    _count("prompt_tokens"),
    _count("cached_tokens"),
    _count("completion_tokens"),
    _count("cost_nanos"),
    _count("unpriced_requests"),
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
    _utc("exposed_at"),
    sa.Index("ix_exposures_experiment", "experiment_id", "phase", "tick"),
    comment="The first time each unit was served in an experiment and phase; hashes as signed numbers.",
)

data_quality_counts = sa.Table(
    "data_quality_counts",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    _count("n"),
    sa.CheckConstraint(
        "kind IN ('multiply_exposed', 'late_outcomes', 'late_feedback', 'duplicate_feedback', 'feedback', "
        "'unread_feedback', 'unreadable_feedback')",
        name="kind",
    ),
    comment="What was noticed about an experiment's data while counting it.",
)

# --- sums by analysis bucket: they have a progress of their own -------------------------------------------

bucket_progress = sa.Table(
    "bucket_progress",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("next_offset", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("tick", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("sequences", pg.JSONB, nullable=False, server_default=sa.text("'{}'")),
    _utc("flushed_at", now=True),
    comment="How far the sums by analysis bucket are written; never ahead of partition_progress.",
)

bucket_ledgers = sa.Table(
    "bucket_ledgers",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("known", pg.JSONB, nullable=False),
    comment="How many units of each event in unit_chunks, in order, the bucket sums contain already.",
)

bucket_sums = sa.Table(
    "bucket_sums",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("variant_index", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("segment", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("partitions", sa.Integer, nullable=False),
    sa.Column("columns", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("sums", sa.LargeBinary, nullable=False),
    sa.Column("sketches", sa.LargeBinary),
    sa.Column("stamp", TransactionId, nullable=False, server_default=sa.text("pg_current_xact_id()")),
    comment=(
        "For each variant and segment ('' or attribute=value): the sums of one partition's analysis buckets, "
        "64-bit big-endian integers in the shape (columns, 2, buckets); 2 is the number of values and their "
        "sum, buckets are partition, partition + partitions, … The view metric_buckets unfolds them."
    ),
)

segment_values = sa.Table(
    "segment_values",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("attribute", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    _utc("first_seen_at", now=True),
    comment="The values by which an experiment's results are shown; later ones count as other.",
)

# --- results: what analysts read -------------------------------------------------------------------------


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
        _utc("as_of"),
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
    _utc("as_of", now=True),
    comment="Up to which transactions the results of a phase contain what was counted.",
)

# --- shadows: what their answers were compared to ---------------------------------------------------------


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
    _utc("occurred_at"),
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
    _utc("expires_at"),
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
    _count("n"),
    _utc("seen_at", now=True),
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

# --- the control plane's edge ----------------------------------------------------------------------------

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("webhook_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    _utc("busy_until", nullable=True),
    _utc("created_at", now=True),
    _utc("updated_at", now=True),
    comment=(
        "Who is told of decisions and changes. Signing secrets are references, never values. busy_until: "
        "somebody is sending it a message."
    ),
)

# Not now(): what one transaction leaves is sent in the order in which it happened.
_CLOCK = sa.text("clock_timestamp()")

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("delivery_id", sa.Uuid, primary_key=True),
    sa.Column("webhook_key", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", pg.JSONB, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'waiting'")),
    sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("next_try_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_CLOCK),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_CLOCK),
    _utc("delivered_at", nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    sa.Index("ix_webhook_deliveries_webhook", "webhook_key", "created_at", "delivery_id"),
    comment="Messages to webhooks, each written in the transaction it tells of, and what came of it.",
)
sa.Index(
    "ix_webhook_deliveries_waiting",
    webhook_deliveries.c.next_try_at,
    postgresql_where=sa.text("state = 'waiting'"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("headers", pg.JSONB, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column(
        "created_at", sa.TIMESTAMP(timezone=True), nullable=False, index=True, server_default=sa.text("now()")
    ),
    comment="Answers to requests that carried an Idempotency-Key, each written with what was changed.",
)

column_comments.attach_to(metadata)
