"""Experiments from draft to end: their phases, health checks, evaluations, decisions, freezes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.storage.tables.base import metadata, utc

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
    utc("created_at", now=True),
    utc("started_at", nullable=True),
    utc("step_started_at", nullable=True),
    utc("stopped_at", nullable=True),
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

experiment_phases = sa.Table(
    "experiment_phases",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, primary_key=True),
    sa.Column("split", pg.JSONB(none_as_null=True)),
    utc("started_at", now=True),
    utc("ended_at", nullable=True),
    comment="The stretches of each experiment with a fixed split design; split is empty for a canary's ramp.",
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
    utc("checked_at", now=True),
    sa.CheckConstraint("slot IN ('blue', 'green')", name="slot"),
    sa.CheckConstraint("occasion IN ('start', 'by_hand', 'switch', 'rollback')", name="occasion"),
    sa.Index("ix_health_checks_experiment", "experiment_id", "checked_at"),
    comment="What health checks of a slot's variant expected and what came; the newest one counts.",
)

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("experiment_id", sa.Uuid, primary_key=True),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("body", pg.JSONB, nullable=False),
    utc("evaluated_at", now=True),
    comment="The newest evaluation of each experiment: what it waits for, as a sentence and as data.",
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
    utc("decided_at", now=True),
    utc("applied_at", nullable=True),
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
    utc("created_at", now=True),
    comment="Where nothing but rollbacks happens by itself: a route's key, or * for all routes.",
)
