"""Definitions, allocations, decisions, and the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "2026_11_23_1"
down_revision = None
branch_labels = None
depends_on = None

UTC = sa.TIMESTAMP(timezone=True)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, UTC, server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.execute(sa.schema.CreateSequence(sa.Sequence("config_version")))
    _create_installation()
    _create_endpoints()
    _create_variants()
    _create_routes()
    _create_allocations()
    _create_experiments()
    _create_decisions()
    _create_evaluations()
    _create_credentials()
    _create_audit()
    _create_outbox()


def downgrade() -> None:
    """Drop them."""
    op.drop_table("outbox")
    op.drop_table("audit")
    op.drop_table("credentials")
    op.drop_table("evaluations")
    op.drop_table("decisions")
    op.drop_table("experiments")
    op.drop_table("allocations")
    op.drop_table("routes")
    op.drop_table("variants")
    op.drop_table("endpoints")
    op.drop_table("installation")
    op.execute(sa.schema.DropSequence(sa.Sequence("config_version")))


def _create_installation() -> None:
    op.create_table(
        "installation",
        sa.Column("only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("installation_id", sa.Uuid(), nullable=False),
        sa.Column("outcome_partitions", sa.Integer(), nullable=False),
        _now("created_at"),
        sa.CheckConstraint('"only"', name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_installation")),
        comment="What was fixed when this installation was created.",
    )


def _create_endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("definition", pg.JSONB(), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("endpoint_id", name=op.f("uq_endpoints_endpoint_id")),
        comment="Provider deployments. Secrets are references (env:, file:, command:), never values.",
    )


def _create_variants() -> None:
    op.create_table(
        "variants",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("definition", pg.JSONB(), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_variants")),
        sa.UniqueConstraint("variant_id", name=op.f("uq_variants_variant_id")),
        comment="Configurations to serve: endpoint pool, model, system prompt, parameters.",
    )


def _create_routes() -> None:
    op.create_table(
        "routes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("route_id", sa.Uuid(), nullable=False),
        sa.Column("unit_fallback", sa.Text(), nullable=False),
        sa.Column("allocation_version", sa.BigInteger(), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_routes")),
        sa.UniqueConstraint("route_id", name=op.f("uq_routes_route_id")),
        comment="The names clients put in `model`. allocation_version guards every change.",
    )


def _create_allocations() -> None:
    op.create_table(
        "allocations",
        sa.Column("route_key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stable", sa.Text(), nullable=False),
        sa.Column("experiment_id", sa.Uuid()),
        sa.Column("treatment", sa.Text()),
        sa.Column("treatment_share_bp", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("decision_id", sa.Uuid()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _now("created_at"),
        sa.CheckConstraint(
            "treatment_share_bp >= 0 AND treatment_share_bp < 10000", name=op.f("ck_allocations_share")
        ),
        sa.PrimaryKeyConstraint("route_key", "version", name=op.f("pk_allocations")),
        comment="How each route's traffic was split, append-only; the newest version is in force.",
    )


def _create_experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("route_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("conclusion", sa.Text()),
        sa.Column("definition", pg.JSONB(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("phase", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _now("created_at"),
        sa.Column("started_at", UTC),
        sa.Column("step_started_at", UTC),
        sa.Column("stopped_at", UTC),
        sa.CheckConstraint(
            "conclusion IN ('promoted', 'rolled_back', 'inconclusive')",
            name=op.f("ck_experiments_conclusion"),
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'running', 'paused', 'stopped')", name=op.f("ck_experiments_status")
        ),
        sa.PrimaryKeyConstraint("experiment_id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("key", name=op.f("uq_experiments_key")),
        comment="Controlled changes on a route: draft, running, paused, stopped.",
    )
    op.create_index(op.f("ix_experiments_route_key"), "experiments", ["route_key"])
    op.create_index(
        "uq_experiments_one_running_canary",
        "experiments",
        ["route_key"],
        unique=True,
        postgresql_where=sa.text("kind = 'canary' AND status IN ('running', 'paused')"),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("allocation_version", sa.BigInteger(), nullable=False),
        sa.Column("next_step", sa.Integer()),
        sa.Column("next_share_bp", sa.Integer()),
        sa.Column("evidence", pg.JSONB(), nullable=False),
        sa.Column("inputs", pg.JSONB(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'recorded'"), nullable=False),
        sa.Column("state_reason", sa.Text()),
        sa.Column("applied_version", sa.BigInteger()),
        _now("decided_at"),
        sa.Column("applied_at", UTC),
        sa.CheckConstraint("action IN ('advance', 'promote', 'rollback')", name=op.f("ck_decisions_action")),
        sa.CheckConstraint("state IN ('recorded', 'applied', 'dropped')", name=op.f("ck_decisions_state")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
        comment="What was decided, by whom, on which evidence and counts, and what came of it.",
    )
    op.create_index(op.f("ix_decisions_experiment_id"), "decisions", ["experiment_id"])
    op.create_index(
        "uq_decisions_one_rollback_per_phase",
        "decisions",
        ["experiment_id", "phase"],
        unique=True,
        postgresql_where=sa.text("action = 'rollback'"),
    )
    op.create_index(
        "uq_decisions_one_step_per_allocation",
        "decisions",
        ["experiment_id", "allocation_version"],
        unique=True,
        postgresql_where=sa.text("action IN ('advance', 'promote')"),
    )


def _create_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("body", pg.JSONB(), nullable=False),
        _now("evaluated_at"),
        sa.PrimaryKeyConstraint("experiment_id", name=op.f("pk_evaluations")),
        comment="The newest evaluation of each experiment: what it waits for, as a sentence and as data.",
    )


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("routes", pg.ARRAY(sa.Text())),
        _now("created_at"),
        sa.Column("revoked_at", UTC),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_credentials_key_hash")),
        comment="Clients' keys, as SHA-256 hashes.",
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger(), sa.Identity(), nullable=False),
        _now("at"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", pg.JSONB()),
        sa.Column("after", pg.JSONB()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        comment="Every change: who, what, before, after.",
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("outbox_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("partition", sa.Integer()),
        sa.Column("value", sa.LargeBinary()),
        _now("created_at"),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        comment="What goes from Postgres to Kafka, written in the transaction that changed the state.",
    )
