CREATE OR REPLACE VIEW variant_totals AS
SELECT
    v.experiment_key,
    v.experiment_id,
    v.route_key,
    counted.phase,
    v.variant_index,
    v.variant_key,
    v.role,
    counted.requests,
    counted.units,
    counted.errors,
    counted.errors::float / nullif(counted.requests, 0) AS error_rate,
    summed.latency_us / nullif(summed.completed, 0) / 1e6 AS mean_latency_seconds,
    summed.tokens AS total_tokens,
    summed.tokens::float / nullif(summed.requests_with_tokens, 0) AS mean_tokens,
    summed.cost AS total_cost_usd,
    summed.cost / nullif(summed.requests_with_cost, 0) AS mean_cost_usd,
    coalesce(summed.satisfaction_reports, 0) AS satisfaction_reports,
    summed.satisfied / nullif(summed.satisfaction_reports, 0) AS satisfaction_rate
FROM experiment_variants v
CROSS JOIN LATERAL (
    SELECT
        c.phase,
        sum(c.requests)::bigint AS requests,
        sum(c.first_requests)::bigint AS units,
        sum(c.errors)::bigint AS errors
    FROM experiment_counts c
    WHERE c.experiment_id = v.experiment_id AND c.variant_index = v.variant_index
    GROUP BY c.phase
) AS counted
CROSS JOIN LATERAL (
    SELECT
        sum(m.raw_total) FILTER (WHERE m.column_key = 'latency')::float AS latency_us,
        sum(m.n) FILTER (WHERE m.column_key = 'latency')::float AS completed,
        sum(m.raw_total) FILTER (WHERE m.column_key = 'total_tokens')::bigint AS tokens,
        sum(m.n) FILTER (WHERE m.column_key = 'total_tokens') AS requests_with_tokens,
        sum(m.raw_total) FILTER (WHERE m.column_key = 'cost')::float / 1e9 AS cost,
        sum(m.n) FILTER (WHERE m.column_key = 'cost')::float AS requests_with_cost,
        sum(m.raw_total) FILTER (WHERE m.column_key = 'yes:feedback:satisfaction')::float / 1e6 AS satisfied,
        sum(m.n) FILTER (WHERE m.column_key = 'yes:feedback:satisfaction')::bigint AS satisfaction_reports
    FROM metric_buckets m
    WHERE m.experiment_id = v.experiment_id
        AND m.phase = counted.phase
        AND m.variant_index = v.variant_index
        AND (m.segment = '' OR m.segment LIKE 'share=%')
        AND m.column_key IN ('latency', 'total_tokens', 'cost', 'yes:feedback:satisfaction')
) AS summed;

COMMENT ON COLUMN variant_totals.satisfaction_reports IS
    'How often feedback named satisfaction came that was a yes or a no.';
COMMENT ON COLUMN variant_totals.satisfaction_rate IS
    'The fraction of it that was a yes; NULL without any. Scores of another kind are a metric''s to average.';

COMMENT ON COLUMN canary_health.mean_latency_seconds IS
    'Mean time until a request ended, also of those that failed, unlike the metric latency_mean; NULL without '
    'requests.';
COMMENT ON COLUMN canary_health_by_minute.mean_latency_seconds IS
    'Mean time until a request ended, also of those that failed, unlike the metric latency_mean; NULL without '
    'requests.';
