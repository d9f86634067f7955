"""What analysts read: the assignment recomputed in SQL, rolling health by variant, the log of decisions."""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_3"
down_revision = "2026_11_23_2"
branch_labels = None
depends_on = None

# The same bytes as services/domain/assignment.py hashes: each part preceded by its length in four bytes.
HASH64 = """
CREATE FUNCTION headgate_hash64(salt text, unit text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || encode(substring(sha256(
    int4send(octet_length(convert_to(salt, 'UTF8'))) || convert_to(salt, 'UTF8') ||
    int4send(octet_length(convert_to(unit, 'UTF8'))) || convert_to(unit, 'UTF8')
) FROM 1 FOR 8), 'hex'))::bit(64)::bigint
"""

BASIS_POINT = """
CREATE FUNCTION headgate_basis_point(salt text, unit text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN div(
    10000 * (headgate_hash64(salt, unit)::numeric
        + CASE WHEN headgate_hash64(salt, unit) < 0 THEN 18446744073709551616 ELSE 0 END),
    18446744073709551616
)::int
"""

UNIT_HASH = """
CREATE FUNCTION headgate_unit_hash(unit text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN headgate_hash64('headgate.unit.v1', unit)
"""

CANARY_HEALTH = """
CREATE VIEW canary_health AS
WITH clock AS (
    SELECT now() AS as_of, floor(extract(epoch FROM now()) / 60)::bigint AS tick
), sides AS (
    SELECT e.*, 'control' AS role, e.control AS variant_key FROM experiments e
    UNION ALL
    SELECT e.*, 'treatment', e.definition ->> 'treatment' FROM experiments e
)
SELECT
    sides.key AS experiment_key,
    sides.experiment_id,
    sides.route_key,
    sides.role,
    sides.variant_key,
    windows.window_minutes,
    coalesce(sum(counts.requests), 0)::bigint AS requests,
    coalesce(sum(counts.errors), 0)::bigint AS errors,
    sum(counts.errors)::float / nullif(sum(counts.requests), 0)::float AS error_rate,
    coalesce(sum(counts.content_filters), 0)::bigint AS content_filters,
    sum(counts.content_filters)::float / nullif(sum(counts.requests), 0)::float AS content_filter_rate,
    sum(counts.latency_us_sum)::float / nullif(sum(counts.requests), 0)::float / 1e6 AS mean_latency_seconds,
    to_timestamp((clock.tick - windows.window_minutes) * 60) AS counted_from,
    clock.as_of
FROM clock
CROSS JOIN sides
CROSS JOIN (VALUES (1), (10), (60)) AS windows (window_minutes)
LEFT JOIN experiment_counts counts
    ON counts.experiment_id = sides.experiment_id
    AND counts.phase = sides.phase
    AND counts.role = sides.role
    AND counts.tick >= clock.tick - windows.window_minutes
WHERE sides.status IN ('running', 'paused')
    OR sides.stopped_at > clock.as_of - interval '60 minutes'
GROUP BY sides.key, sides.experiment_id, sides.route_key, sides.role, sides.variant_key,
    windows.window_minutes, clock.tick, clock.as_of
"""

DECISION_LOG = """
CREATE VIEW decision_log AS
SELECT
    decisions.decided_at,
    experiments.key AS experiment_key,
    experiments.route_key,
    decisions.phase,
    decisions.action,
    decisions.rule,
    decisions.reason,
    decisions.actor,
    decisions.state,
    decisions.state_reason,
    decisions.allocation_version,
    decisions.applied_version,
    extract(epoch FROM decisions.applied_at - decisions.decided_at)::float AS applied_after_seconds,
    decisions.decision_id,
    decisions.experiment_id
FROM decisions
LEFT JOIN experiments USING (experiment_id)
"""

COMMENTS = {
    "FUNCTION headgate_hash64(text, text)": "SHA-256 of (salt, unit), its first 64 bits as a signed number.",
    "FUNCTION headgate_basis_point(text, text)": (
        "The unit''s place on a split''s scale, in [0, 10000). The salt of an experiment''s split is "
        "its experiment_id followed by \\:split; the treatment owns [0, its share in basis points)."
    ),
    "FUNCTION headgate_unit_hash(text)": "The number that stands for the unit in exposures.unit_hash.",
    "VIEW canary_health": (
        "Rolling rates by variant over the last 1, 10 and 60 minutes, of experiments that run, are paused, "
        "or stopped within the hour. A window is the open minute and the whole minutes before it, so never "
        "shorter than it says. A rate is NULL where nothing was counted."
    ),
    "VIEW decision_log": "Every decision with the names of its experiment and route, and what came of it.",
}


def upgrade() -> None:
    """Create functions and views."""
    for statement in (HASH64, BASIS_POINT, UNIT_HASH, CANARY_HEALTH, DECISION_LOG):
        op.execute(statement)
    for thing, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment}'")


def downgrade() -> None:
    """Drop them."""
    for thing in (
        "VIEW decision_log",
        "VIEW canary_health",
        "FUNCTION headgate_unit_hash(text)",
        "FUNCTION headgate_basis_point(text, text)",
        "FUNCTION headgate_hash64(text, text)",
    ):
        op.execute(f"DROP {thing}")
