"""Every table, by subject. ``alembic check`` holds this package and ``migrations/`` together."""

from __future__ import annotations

from services.storage import column_comments
from services.storage.tables.access import audit, credentials, teams
from services.storage.tables.base import TransactionId, metadata
from services.storage.tables.bucketing import bucket_ledgers, bucket_progress, bucket_sums, segment_values
from services.storage.tables.counting import (
    data_quality_counts,
    experiment_counts,
    exposures,
    gateway_progress,
    partition_progress,
    route_counts,
    unit_chunks,
    usage,
)
from services.storage.tables.definitions import (
    allocations,
    config_version,
    endpoint_prices,
    endpoints,
    installation,
    metrics,
    routes,
    variants,
)
from services.storage.tables.findings import experiment_results, experiment_results_history, results_progress
from services.storage.tables.lifecycle import (
    decisions,
    evaluations,
    experiment_phases,
    experiments,
    freezes,
    health_checks,
)
from services.storage.tables.sending import idempotency_keys, outbox, webhook_deliveries, webhooks
from services.storage.tables.shadows import (
    comparison_texts,
    comparisons,
    shadow_costs,
    shadow_coverage,
    shadow_sums,
)

__all__ = [
    "TransactionId",
    "allocations",
    "audit",
    "bucket_ledgers",
    "bucket_progress",
    "bucket_sums",
    "comparison_texts",
    "comparisons",
    "config_version",
    "credentials",
    "data_quality_counts",
    "decisions",
    "endpoint_prices",
    "endpoints",
    "evaluations",
    "experiment_counts",
    "experiment_phases",
    "experiment_results",
    "experiment_results_history",
    "experiments",
    "exposures",
    "freezes",
    "gateway_progress",
    "health_checks",
    "idempotency_keys",
    "installation",
    "metadata",
    "metrics",
    "outbox",
    "partition_progress",
    "results_progress",
    "route_counts",
    "routes",
    "segment_values",
    "shadow_costs",
    "shadow_coverage",
    "shadow_sums",
    "teams",
    "unit_chunks",
    "usage",
    "variants",
    "webhook_deliveries",
    "webhooks",
]

column_comments.attach_to(metadata)
