"""Sums by analysis bucket: they have a progress of their own."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.storage.tables.base import TransactionId, metadata, utc

bucket_progress = sa.Table(
    "bucket_progress",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("next_offset", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("tick", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("sequences", pg.JSONB, nullable=False, server_default=sa.text("'{}'")),
    utc("flushed_at", now=True),
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
    utc("first_seen_at", now=True),
    comment="The values by which an experiment's results are shown; later ones count as other.",
)
