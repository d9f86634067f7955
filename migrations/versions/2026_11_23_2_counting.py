"""Counts, and how far each partition is counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import UserDefinedType

revision = "2026_11_23_2"
down_revision = "2026_11_23_1"
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)


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
    """Create the tables."""
    _create_partition_progress()
    _create_gateway_progress()
    _create_unit_chunks()
    _create_experiment_counts()
    _create_route_counts()
    _create_exposures()


def downgrade() -> None:
    """Drop them."""
    op.drop_table("exposures")
    op.drop_table("route_counts")
    op.drop_table("experiment_counts")
    op.drop_table("unit_chunks")
    op.drop_table("gateway_progress")
    op.drop_table("partition_progress")


def _create_partition_progress() -> None:
    op.create_table(
        "partition_progress",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        _count("epoch"),
        _count("next_offset"),
        _count("tick"),
        sa.Column("last_timestamp_ms", sa.BigInteger()),
        sa.Column("last_crc", sa.BigInteger()),
        sa.Column("incarnation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _count("outcomes_counted"),
        _count("duplicates_dropped"),
        _count("records_lost"),
        _count("dead_lettered"),
        sa.Column("caught_up_at", UTC),
        sa.Column("claimed_at", UTC),
        sa.Column("claimed_by", sa.Text()),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_partition_progress")),
        comment="How far each partition is counted; a compare-and-set in the transaction of the counts.",
    )


def _create_gateway_progress() -> None:
    op.create_table(
        "gateway_progress",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("gateway", sa.Uuid(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        _count("outcomes_counted"),
        _count("duplicates_dropped"),
        _count("missing"),
        _now("seen_at"),
        sa.PrimaryKeyConstraint("topic", "partition", "gateway", name=op.f("pk_gateway_progress")),
        comment="The next sequence number of each gateway incarnation: repeats and gaps show here.",
    )


def _create_unit_chunks() -> None:
    op.create_table(
        "unit_chunks",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("units", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "event IN ('request', 'error', 'content_filter')", name=op.f("ck_unit_chunks_event")
        ),
        sa.PrimaryKeyConstraint(
            "topic", "partition", "experiment_id", "phase", "event", "chunk", name=op.f("pk_unit_chunks")
        ),
        comment="Which units were seen for the first time, as packed 64-bit hashes.",
    )


def _create_experiment_counts() -> None:
    op.create_table(
        "experiment_counts",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("tick", sa.BigInteger(), nullable=False),
        sa.Column("treatment_share_bp", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        _count("requests"),
        _count("errors"),
        _count("first_errors"),
        _count("content_filters"),
        _count("first_content_filters"),
        _count("first_requests"),
        _count("first_request_errors"),
        _count("latency_us_sum"),
        sa.Column("stamp", TransactionId(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.CheckConstraint("role IN ('control', 'treatment')", name=op.f("ck_experiment_counts_role")),
        sa.PrimaryKeyConstraint(
            "experiment_id", "phase", "tick", "treatment_share_bp", "role", name=op.f("pk_experiment_counts")
        ),
        comment="Counts by experiment, phase, minute, treatment share in force, and role.",
    )
    op.create_index("ix_experiment_counts_stamp", "experiment_counts", ["experiment_id", "phase", "stamp"])


def _create_route_counts() -> None:
    op.create_table(
        "route_counts",
        sa.Column("route_key", sa.Text(), nullable=False),
        sa.Column("variant_key", sa.Text(), nullable=False),
        sa.Column("tick", sa.BigInteger(), nullable=False),
        _count("requests"),
        _count("errors"),
        _count("content_filters"),
        _count("latency_us_sum"),
        _count("prompt_tokens"),
        _count("completion_tokens"),
        sa.PrimaryKeyConstraint("route_key", "variant_key", "tick", name=op.f("pk_route_counts")),
        comment="Counts of all traffic by route, variant and minute, whether or not an experiment runs.",
    )


def _create_exposures() -> None:
    op.create_table(
        "exposures",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("unit_hash", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("variant_key", sa.Text(), nullable=False),
        sa.Column("propensity", sa.Float(precision=53), nullable=False),
        sa.Column("tick", sa.BigInteger(), nullable=False),
        sa.Column("exposed_at", UTC, nullable=False),
        comment="The first time each unit was served in an experiment and phase; hashes as signed numbers.",
    )
    op.create_index("ix_exposures_experiment", "exposures", ["experiment_id", "phase", "tick"])
