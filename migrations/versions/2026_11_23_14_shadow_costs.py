"""What shadows cost, by day, which stays when their comparisons are deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_14"
down_revision = "2026_11_23_13"
branch_labels = None
depends_on = None

COUNTS = ("requests", "prompt_tokens", "completion_tokens", "cost_nanos", "unpriced_requests")
KEPT = """
        UNION ALL
        SELECT day, experiment_id, route_key, variant_key, requests, prompt_tokens, completion_tokens,
            cost_nanos, unpriced_requests
        FROM shadow_costs
"""
# Replaced, not dropped: its comments and who may read it stay.
VIEW = """
    CREATE OR REPLACE VIEW shadow_cost_by_day AS
    SELECT
        s.day,
        e.key AS experiment_key,
        s.experiment_id,
        s.route_key,
        s.variant_key,
        sum(s.requests)::bigint AS requests,
        sum(s.prompt_tokens)::bigint AS prompt_tokens,
        sum(s.completion_tokens)::bigint AS completion_tokens,
        sum(s.cost_nanos) * 0.000000001 AS cost_usd,
        sum(s.unpriced_requests)::bigint AS unpriced_requests
    FROM (
        SELECT
            (c.occurred_at AT TIME ZONE 'UTC')::date AS day,
            c.experiment_id,
            c.route_key,
            c.shadow_variant AS variant_key,
            count(*) AS requests,
            coalesce(sum(c.shadow_prompt_tokens), 0) AS prompt_tokens,
            coalesce(sum(c.shadow_completion_tokens), 0) AS completion_tokens,
            coalesce(sum(c.shadow_cost_nanos), 0) AS cost_nanos,
            count(*) FILTER (
                WHERE c.shadow_cost_nanos IS NULL
                AND coalesce(c.shadow_prompt_tokens, 0) + coalesce(c.shadow_completion_tokens, 0) > 0
            ) AS unpriced_requests
        FROM comparisons c
        GROUP BY 1, 2, 3, 4
        {kept}
    ) s
    LEFT JOIN experiments e USING (experiment_id)
    GROUP BY s.day, e.key, s.experiment_id, s.route_key, s.variant_key
"""
COMMENT = (
    "What shadows cost, by UTC day, experiment and variant: copies of requests, which no caller asked for. "
    "They are in no team''s cost, and not in cost_by_day."
)


def upgrade() -> None:
    """Create the table, and show what is in it."""
    op.create_table(
        "shadow_costs",
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("route_key", sa.Text, nullable=False),
        sa.Column("variant_key", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, server_default=sa.text("0"), nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint(
            "experiment_id", "day", "route_key", "variant_key", name=op.f("pk_shadow_costs")
        ),
        comment=(
            "What the deleted comparisons of a shadow cost, by UTC day. The view shadow_cost_by_day adds "
            "those that are still there."
        ),
    )
    _show(KEPT, f"{COMMENT} Kept for good.")


def downgrade() -> None:
    """Drop it again; what shadows cost whose comparisons are deleted is then forgotten."""
    _show("", COMMENT)
    op.drop_table("shadow_costs")


def _show(kept: str, comment: str) -> None:
    op.execute(VIEW.format(kept=kept))
    op.execute(f"COMMENT ON VIEW shadow_cost_by_day IS '{comment}'")
