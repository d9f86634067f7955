"""The public SQL contract: views and functions for analysts, comments on everything, a role that reads it."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_5"
down_revision = "2026_11_23_4"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql" / revision
READER = "headgate_reader"
COMMENTED_TABLES = (
    "experiments", "experiment_phases", "metrics", "experiment_counts", "route_counts", "exposures",
    "bucket_sums", "segment_values", "experiment_results", "experiment_results_history",
)  # fmt: skip
NEW_VIEWS = (
    "data_quality", "variant_totals", "metric_buckets", "exposure_log", "experiment_variants",
    "canary_health_by_minute",
)  # fmt: skip
REPLACED_VIEWS = ("canary_health", "decision_log")
NEW_FUNCTIONS = (
    "headgate_column_scale(text)",
    "headgate_int64(bytea, int)",
    "headgate_assigned_variant(text, int, text, int)",
    "headgate_analysis_bucket(bigint)",
    "headgate_inclusion_place(uuid, text)",
    "headgate_split_place(uuid, text)",
)
CONTRACT = ", ".join((*COMMENTED_TABLES, *REPLACED_VIEWS, *NEW_VIEWS))
REFUSED = "42501"
TAKEN = ("42710", "23505")

logger = logging.getLogger(__name__)


def upgrade() -> None:
    """Create and comment it, and let the reader read it."""
    for path in sorted(SQL.glob("*.sql")):
        _run(path.read_text(encoding="utf-8"))
    if _reader_exists() or _create_reader():
        _run(f"GRANT SELECT ON {CONTRACT} TO {READER}")


def downgrade() -> None:
    """Drop it again. The role stays: it belongs to all databases of the cluster, and may have members."""
    if _reader_exists():
        _run(f"REVOKE ALL ON {CONTRACT} FROM {READER}")
    for view in (*NEW_VIEWS, *REPLACED_VIEWS):
        _run(f"DROP VIEW {view}")
    for function in NEW_FUNCTIONS:
        _run(f"DROP FUNCTION {function}")
    _restore_views()
    _drop_column_comments()


def _run(statements: str) -> None:
    """Run SQL as it is written: no colon or percent sign in it means a parameter."""
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def _reader_exists() -> bool:
    found = sa.text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :reader)")
    return bool(op.get_bind().scalar(found, {"reader": READER}))


def _create_reader() -> bool:
    try:
        with op.get_bind().begin_nested():
            _run(f"CREATE ROLE {READER} NOLOGIN")
    except sa.exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state == REFUSED:
            logger.warning(
                "This user may not create the role %s. To let analysts read the contract, and nothing else, "
                "run as one who may: CREATE ROLE %s NOLOGIN; GRANT SELECT ON %s TO %s;",
                *(READER, READER, CONTRACT, READER),
            )
            return False
        # The migration of another database of the cluster has created it in this moment.
        if state not in TAKEN:
            raise
    return True


def _restore_views() -> None:
    before = import_module("migrations.versions.2026_11_23_3_reading")
    for view in REPLACED_VIEWS:
        _run(getattr(before, view.upper()))
        _run(f"COMMENT ON VIEW {view} IS '{before.COMMENTS[f'VIEW {view}']}'")


def _drop_column_comments() -> None:
    commented = sa.text(
        "SELECT attrelid::regclass::text, attname FROM pg_attribute "
        "JOIN pg_description ON objoid = attrelid AND objsubid = attnum "
        "AND classoid = 'pg_class'::regclass WHERE attrelid = ANY (CAST(:tables AS regclass[]))"
    )
    for table, column in op.get_bind().execute(commented, {"tables": list(COMMENTED_TABLES)}).all():
        _run(f'COMMENT ON COLUMN {table}."{column}" IS NULL')
