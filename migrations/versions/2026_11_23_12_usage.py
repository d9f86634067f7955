"""What is used and what it costs: usage by day, the history of prices, and views of both for analysts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_12"
down_revision = "2026_11_23_11"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql" / revision
READER = "headgate_reader"
VIEWS = ("cost_by_day", "usage_by_key", "shadow_cost_by_day")
CONTRACT = ", ".join((*VIEWS, "endpoint_prices"))

logger = logging.getLogger(__name__)


def upgrade() -> None:
    """Create the tables and views, and let the reader read them."""
    _create_usage()
    _create_prices()
    _say_kinds("'canary', 'ab_test', 'shadow' or 'blue_green'.")
    for path in sorted(SQL.glob("*.sql")):
        _run(path.read_text(encoding="utf-8"))
    if _reader_exists():
        _run(f"GRANT SELECT ON {CONTRACT} TO {READER}")
    else:
        logger.warning(
            "There is no role %s. Once there is, let it read what is new: GRANT SELECT ON %s TO %s;",
            *(READER, CONTRACT, READER),
        )


def downgrade() -> None:
    """Drop them again."""
    _say_kinds("'canary' or 'ab_test'.")
    for view in VIEWS:
        _run(f"DROP VIEW {view}")
    op.drop_table("endpoint_prices")
    op.drop_table("usage")


def _create_usage() -> None:
    sums = (
        "requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nanos",
        "unpriced_requests",
    )  # fmt: skip
    op.create_table(
        "usage",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("route_key", sa.Text, nullable=False),
        sa.Column("variant_key", sa.Text, nullable=False),
        sa.Column("team_key", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, server_default=sa.text("0"), nullable=False) for name in sums),
        sa.Column("last_tick", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "route_key", "variant_key", "team_key", "key_id", "partition", name=op.f("pk_usage")
        ),
        comment=(
            "Who used how much, by UTC day and the partition that counted it; cost in billionths of a "
            "dollar. The views cost_by_day and usage_by_key add it up."
        ),
    )


def _create_prices() -> None:
    """Create the history of prices. It begins with those that endpoints have."""
    op.create_table(
        "endpoint_prices",
        _commented("endpoint_key", sa.Text(), "The endpoint.", nullable=False),
        _commented(
            "config_timeline",
            sa.BigInteger(),
            "With config_counter: the endpoint's configuration that brought them.",
            nullable=False,
        ),
        _commented(
            "config_counter",
            sa.BigInteger(),
            "Higher is newer, within one timeline of the database.",
            nullable=False,
        ),
        _commented(
            "effective_at",
            sa.TIMESTAMP(timezone=True),
            "From when on. A gateway has them a moment later, and then counts with them.",
            nullable=False,
        ),
        _commented(
            "input_per_million",
            sa.Float(53),
            "Dollars for a million prompt tokens. NULL: from then on there are no prices.",
        ),
        _commented(
            "cached_input_per_million",
            sa.Float(53),
            "Dollars for a million of those that the provider had in its cache. NULL: as the others.",
        ),
        _commented("output_per_million", sa.Float(53), "Dollars for a million completion tokens."),
        _commented("actor", sa.Text(), "Who set them.", nullable=False),
        sa.PrimaryKeyConstraint(
            "endpoint_key", "config_timeline", "config_counter", name=op.f("pk_endpoint_prices")
        ),
        comment="What each endpoint's tokens cost from when on, append-only: a row for each change.",
    )
    _run("""
        INSERT INTO endpoint_prices
        SELECT key, (definition #>> '{version,0}')::bigint, (definition #>> '{version,1}')::bigint,
            updated_at,
            (definition #>> '{prices,input_per_million}')::float,
            (definition #>> '{prices,cached_input_per_million}')::float,
            (definition #>> '{prices,output_per_million}')::float, 'unknown'
        FROM endpoints WHERE definition ->> 'prices' IS NOT NULL
    """)


def _say_kinds(comment: str) -> None:
    for relation in ("experiments", "experiment_variants"):
        quoted = comment.replace("'", "''")
        _run(f"COMMENT ON COLUMN {relation}.kind IS '{quoted}'")


def _commented(
    name: str, kind: sa.types.TypeEngine[Any], comment: str, *, nullable: bool = True
) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def _run(statements: str) -> None:
    """Run SQL as it is written: no colon or percent sign in it means a parameter."""
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def _reader_exists() -> bool:
    found = sa.text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :reader)")
    return bool(op.get_bind().scalar(found, {"reader": READER}))
