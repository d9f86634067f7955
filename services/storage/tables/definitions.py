"""What is defined of the traffic: endpoints, variants, routes and how each was split, metrics."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.storage.tables.base import metadata, utc

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("installation_id", sa.Uuid, nullable=False),
    sa.Column("outcome_partitions", sa.Integer, nullable=False),
    utc("created_at", now=True),
    sa.CheckConstraint('"only"', name="one_row"),
    comment="What was fixed when this installation was created.",
)

config_version = sa.Sequence("config_version", metadata=metadata)


endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("endpoint_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    utc("created_at", now=True),
    utc("updated_at", now=True),
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
    utc("created_at", now=True),
    utc("updated_at", now=True),
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
    utc("created_at", now=True),
    utc("updated_at", now=True),
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
    utc("created_at", now=True),
    sa.CheckConstraint("treatment_share_bp >= 0 AND treatment_share_bp < 10000", name="share"),
    sa.CheckConstraint("active_slot IN ('blue', 'green')", name="active_slot"),
    comment="How each route's traffic was split, append-only; the newest version is in force.",
)

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("metric_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("definition", pg.JSONB, nullable=False),
    utc("created_at", now=True),
    utc("updated_at", now=True),
    comment="Metrics of this installation, beside the built-in ones; a test keeps those it began with.",
)
