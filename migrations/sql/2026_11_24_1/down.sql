-- Back to one column for a feedback, whoever reads it.
UPDATE bucket_sums b
SET stamp = pg_current_xact_id(),
    columns = (
        SELECT array_agg(regexp_replace(c.column_key, '^yes:', '') ORDER BY c.number)
        FROM unnest(b.columns) WITH ORDINALITY AS c (column_key, number)
    )
WHERE array_to_string(b.columns, ' ') LIKE '%yes:feedback:%';

CREATE OR REPLACE FUNCTION headgate_column_scale(column_key text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN column_key LIKE 'units_with:%' THEN 1
    WHEN column_key LIKE 'feedback:%' THEN 1000000
    ELSE CASE split_part(column_key, '<=', 1)
        WHEN 'cost' THEN 1000000000
        WHEN 'latency' THEN 1000000
        WHEN 'log_latency' THEN 1000000
        WHEN 'first_token' THEN 1000000
        WHEN 'units' THEN 1000000
        ELSE 1
    END
END;

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
    CASE WHEN e.definition -> 'metrics' @> '[{"source": "feedback:satisfaction", "kind": "proportion"}]'
        THEN summed.satisfied / nullif(summed.satisfaction_reports, 0)
    END AS satisfaction_rate
FROM experiment_variants v
JOIN experiments e USING (experiment_id)
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
        sum(m.raw_total) FILTER (WHERE m.column_key = 'feedback:satisfaction')::float / 1e6 AS satisfied,
        sum(m.n) FILTER (WHERE m.column_key = 'feedback:satisfaction')::bigint AS satisfaction_reports
    FROM metric_buckets m
    WHERE m.experiment_id = v.experiment_id
        AND m.phase = counted.phase
        AND m.variant_index = v.variant_index
        AND (m.segment = '' OR m.segment LIKE 'share=%')
        AND m.column_key IN ('latency', 'total_tokens', 'cost', 'feedback:satisfaction')
) AS summed;

COMMENT ON COLUMN metric_buckets.column_key IS
    'What is summed: units, error, content_filter, latency, log_latency, first_token, prompt_tokens, '
    'completion_tokens, total_tokens, cost, feedback:<name>. source<=cap (in whole numbers) has larger values cut '
    'to the cap; units_with:<source> sums units with at least one true value. Feedback that a share is read from '
    'has only values 0 and 1.';
COMMENT ON COLUMN metric_buckets.segment IS
    'Empty for all requests; attribute=value for a part, attribute=other for the values that came late; of a '
    'canary, share=<basis points> for those that were assigned while the treatment had that share.';
COMMENT ON COLUMN variant_totals.satisfaction_reports IS
    'How often feedback named satisfaction came that the test''s metrics read.';
COMMENT ON COLUMN variant_totals.satisfaction_rate IS
    'The fraction of it that was true; NULL without any, and where the test reads it as a score, not as yes or no.';
COMMENT ON COLUMN canary_health.mean_latency_seconds IS 'Mean time to the whole answer; NULL without requests.';
COMMENT ON COLUMN canary_health_by_minute.mean_latency_seconds IS
    'Mean time to the whole answer; NULL without requests.';
