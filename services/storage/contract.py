"""The public SQL contract: what analysts may read, what it means, and one experiment's part of it.

A table that is not named here may change with any release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import NotFound
from services.storage.buckets import unpack_sketches

READER = "headgate_reader"
"""The role that may read the contract, and nothing else."""

RELATIONS = (
    "experiments",
    "experiment_variants",
    "experiment_phases",
    "metrics",
    "experiment_results",
    "experiment_results_history",
    "variant_totals",
    "data_quality",
    "decision_log",
    "canary_health",
    "canary_health_by_minute",
    "exposure_log",
    "exposures",
    "metric_buckets",
    "bucket_sums",
    "segment_values",
    "experiment_counts",
    "route_counts",
    "cost_by_day",
    "usage_by_key",
    "shadow_cost_by_day",
    "endpoint_prices",
)
"""Its tables and views, in the order in which one meets them."""

FUNCTIONS = (
    "headgate_assigned_variant",
    "headgate_split_place",
    "headgate_inclusion_place",
    "headgate_unit_hash",
    "headgate_analysis_bucket",
    "headgate_basis_point",
    "headgate_hash64",
    "headgate_int64",
    "headgate_column_scale",
)
"""Its functions."""

_OF_EXPERIMENT = {
    "experiments": "key = :key",
    "experiment_variants": "experiment_key = :key ORDER BY variant_index",
    "experiment_phases": (
        "experiment_id = (SELECT experiment_id FROM experiments WHERE key = :key) ORDER BY phase"
    ),
    "experiment_results": "experiment = :key ORDER BY phase, metric, segment, statistic, variant, method",
    "experiment_results_history": (
        "experiment = :key ORDER BY recorded_at, phase, metric, segment, statistic, variant, method"
    ),
    "variant_totals": "experiment_key = :key ORDER BY phase, variant_index",
    "data_quality": "experiment_key = :key OR experiment_key IS NULL ORDER BY experiment_key, phase, kind",
    "decision_log": "experiment_key = :key ORDER BY decided_at",
    "canary_health_by_minute": "experiment_key = :key ORDER BY phase, tick, treatment_share_bp, role",
    "metric_buckets": (
        "experiment_key = :key AND (segment = '' OR segment LIKE 'share=%') "
        "ORDER BY phase, variant_index, segment, column_key, bucket"
    ),
}
_EXPOSURES = "experiment_key = :key ORDER BY phase, exposed_at, unit_hash"
_ALL_SEGMENTS = "experiment_key = :key ORDER BY phase, segment, variant_index, column_key, bucket"

_SKETCHES = """
    SELECT b.phase, v.variant_key,
        CASE WHEN b.segment LIKE 'share=%' THEN '' ELSE b.segment END AS segment, b.sketches
    FROM bucket_sums b JOIN experiment_variants v USING (experiment_id, variant_index)
    WHERE v.experiment_key = :key AND b.sketches IS NOT NULL
    ORDER BY b.phase, v.variant_index, b.segment, b.partition
"""
_SKETCH_COLUMNS = (
    ("phase", "integer"),
    ("variant_key", "text"),
    ("segment", "text"),
    ("source", "text"),
    ("replicate", "integer"),
    ("cell", "bigint"),
    ("count", "bigint"),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a relation. ``columns`` are (name, SQL type)."""

    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Described:
    """A relation or function with its comment; of a relation, (name, SQL type, comment) of each column."""

    name: str
    comment: str
    columns: tuple[tuple[str, str, str], ...] = ()


async def read_experiment(
    connection: AsyncConnection, key: str, *, exposures: bool = False, segments: bool = False
) -> dict[str, Rows]:
    """Return an experiment's part of the contract by relation, and its ``sketches`` unpacked.

    The transaction must read one snapshot (REPEATABLE READ), so that the parts fit together.
    ``exposures`` and the buckets of ``segments`` are many rows, and left out unless asked for.
    """
    found = {}
    for relation, condition in _OF_EXPERIMENT.items():
        wanted = _ALL_SEGMENTS if segments and relation == "metric_buckets" else condition
        found[relation] = await _read(connection, relation, wanted, key)
    if not found["experiments"].rows:
        raise NotFound(f"there is no experiment {key!r}; `headgate report --list` names them")
    if exposures:
        found["exposure_log"] = await _read(connection, "exposure_log", _EXPOSURES, key)
    found["sketches"] = await _read_sketches(connection, key)
    return found


async def list_experiments(connection: AsyncConnection) -> list[tuple[str, str, str, str]]:
    """Return (key, kind, status, route) of every experiment, the newest first."""
    rows = await connection.execute(
        sa.text("SELECT key, kind, status, route_key FROM experiments ORDER BY created_at DESC, key")
    )
    return [(key, kind, status, route) for key, kind, status, route in rows]


async def describe(connection: AsyncConnection) -> tuple[list[Described], list[Described]]:
    """Return the relations and the functions of the contract with their comments."""
    relations = [
        Described(name, await _comment(connection, name), await _columns(connection, name))
        for name in RELATIONS
    ]
    query = sa.text(
        "SELECT proname || '(' || pg_get_function_arguments(oid) || ') → ' || pg_get_function_result(oid), "
        "coalesce(obj_description(oid, 'pg_proc'), '') FROM pg_proc "
        "WHERE proname = ANY (:names) AND pronamespace = 'public'::regnamespace "
        "ORDER BY array_position(:names, proname::text)"
    ).bindparams(sa.bindparam("names", list(FUNCTIONS), sa.ARRAY(sa.Text)))
    return relations, [Described(*row) for row in await connection.execute(query)]


async def _read(connection: AsyncConnection, relation: str, condition: str, key: str) -> Rows:
    columns = await _columns(connection, relation)
    # Names and conditions are the constants above; only the key comes from outside, as a parameter.
    query = sa.text(f"SELECT * FROM {relation} WHERE {condition}")  # noqa: S608
    rows = await connection.execute(query, {"key": key})
    return Rows(tuple((name, kind) for name, kind, _ in columns), [tuple(row) for row in rows])


async def _read_sketches(connection: AsyncConnection, key: str) -> Rows:
    rows = [
        (phase, variant, segment, source, replicate, cell, count)
        for phase, variant, segment, packed in await connection.execute(sa.text(_SKETCHES), {"key": key})
        for source, replicates in sorted(unpack_sketches(packed).items())
        for replicate, (cells, counts) in sorted(replicates.items())
        for cell, count in zip(cells, counts, strict=True)
    ]
    return Rows(_SKETCH_COLUMNS, rows)


async def _comment(connection: AsyncConnection, relation: str) -> str:
    query = sa.text("SELECT coalesce(obj_description(to_regclass(:relation), 'pg_class'), '')")
    return str(await connection.scalar(query, {"relation": relation}))


async def _columns(connection: AsyncConnection, relation: str) -> tuple[tuple[str, str, str], ...]:
    query = sa.text(
        "SELECT attname, format_type(atttypid, atttypmod), coalesce(col_description(attrelid, attnum), '') "
        "FROM pg_attribute WHERE attrelid = to_regclass(:relation) AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum"
    )
    rows = await connection.execute(query, {"relation": relation})
    return tuple((name, kind, comment) for name, kind, comment in rows)
