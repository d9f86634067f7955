-- `sums || ''` makes one plain copy of the stored bytes; without it each number would unpack them anew.
CREATE VIEW metric_buckets AS
SELECT
    v.experiment_key,
    b.experiment_id,
    b.phase,
    b.variant_index,
    v.variant_key,
    b.segment,
    c.column_key,
    b.partition + slot * b.partitions AS bucket,
    headgate_int64(flat.sums, 2 * (c.number::int - 1) * flat.slots + slot) AS n,
    headgate_int64(flat.sums, (2 * c.number::int - 1) * flat.slots + slot)
        / headgate_column_scale(c.column_key)::float AS total,
    headgate_int64(flat.sums, (2 * c.number::int - 1) * flat.slots + slot) AS raw_total
FROM bucket_sums b
LEFT JOIN experiment_variants v
    ON v.experiment_id = b.experiment_id AND v.variant_index = b.variant_index
CROSS JOIN LATERAL (
    SELECT b.sums || ''::bytea AS sums, octet_length(b.sums) / 16 / cardinality(b.columns) AS slots OFFSET 0
) AS flat
CROSS JOIN LATERAL unnest(b.columns) WITH ORDINALITY AS c (column_key, number)
CROSS JOIN LATERAL generate_series(0, flat.slots - 1) AS slot
WHERE headgate_int64(flat.sums, 2 * (c.number::int - 1) * flat.slots + slot) <> 0;

COMMENT ON VIEW metric_buckets IS
    'What results are computed from: for each variant, segment and column the number of values and their sum in '
    'each of the 1024 analysis buckets. All that one unit does is in one bucket, so what differs between buckets '
    'tells how exactly a mean is known, however often units come back. Buckets without a value have no row.';
COMMENT ON COLUMN metric_buckets.experiment_key IS 'The experiment''s key.';
COMMENT ON COLUMN metric_buckets.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN metric_buckets.phase IS 'The phase of the experiment, from 1.';
COMMENT ON COLUMN metric_buckets.variant_index IS 'The variant''s number in the experiment, 0 for the control.';
COMMENT ON COLUMN metric_buckets.variant_key IS 'The variant''s key.';
COMMENT ON COLUMN metric_buckets.segment IS
    'Empty for all requests; attribute=value for a part, attribute=other for the values that came late; of a '
    'canary, share=<basis points> for those that were assigned while the treatment had that share.';
COMMENT ON COLUMN metric_buckets.column_key IS
    'What is summed: units, error, content_filter, latency, log_latency, first_token, prompt_tokens, '
    'completion_tokens, total_tokens, cost, feedback:<name>. source<=cap (in whole numbers) has larger values cut '
    'to the cap; units_with:<source> sums units with at least one true value. Feedback that a share is read from '
    'has only values 0 and 1.';
COMMENT ON COLUMN metric_buckets.bucket IS 'The analysis bucket, in [0, 1024): headgate_analysis_bucket.';
COMMENT ON COLUMN metric_buckets.n IS
    'How many requests, or reports, had a value; missing ones are left out. For units: how many were exposed.';
COMMENT ON COLUMN metric_buckets.total IS
    'Their sum in natural units: seconds, tokens, dollars, errors. For units: of the covariate they came with.';
COMMENT ON COLUMN metric_buckets.raw_total IS
    'The same as the whole number that was summed, total * headgate_column_scale(column_key): exact, in any order.';

CREATE VIEW variant_totals AS
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

COMMENT ON VIEW variant_totals IS
    'Each variant of each experiment and phase in one row. Descriptive: means without intervals; what may be '
    'concluded from them is in experiment_results. Latency, tokens, cost and satisfaction lag a few seconds behind.';
COMMENT ON COLUMN variant_totals.experiment_key IS 'The experiment''s key.';
COMMENT ON COLUMN variant_totals.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN variant_totals.route_key IS 'The route it runs on.';
COMMENT ON COLUMN variant_totals.phase IS 'The phase of the experiment, from 1.';
COMMENT ON COLUMN variant_totals.variant_index IS 'The variant''s number in the experiment, 0 for the control.';
COMMENT ON COLUMN variant_totals.variant_key IS 'The variant''s key.';
COMMENT ON COLUMN variant_totals.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN variant_totals.requests IS 'Requests assigned to the variant, whoever served them in the end.';
COMMENT ON COLUMN variant_totals.units IS
    'Units exposed to the variant; where the unit is the request, the same as requests.';
COMMENT ON COLUMN variant_totals.errors IS 'How many requests failed.';
COMMENT ON COLUMN variant_totals.error_rate IS 'errors / requests, a fraction.';
COMMENT ON COLUMN variant_totals.mean_latency_seconds IS
    'Mean time to the whole answer, of requests that got one; NULL without any.';
COMMENT ON COLUMN variant_totals.total_tokens IS 'Prompt and completion tokens together; NULL where none are known.';
COMMENT ON COLUMN variant_totals.mean_tokens IS 'total_tokens by the requests that report them.';
COMMENT ON COLUMN variant_totals.total_cost_usd IS 'What the requests cost, in dollars; NULL where there are no prices.';
COMMENT ON COLUMN variant_totals.mean_cost_usd IS 'total_cost_usd by the requests that have a price.';
COMMENT ON COLUMN variant_totals.satisfaction_reports IS 
    'How often feedback named satisfaction came that the test''s metrics read.';
COMMENT ON COLUMN variant_totals.satisfaction_rate IS 
    'The fraction of it that was true; NULL without any, and where the test reads it as a score, not as yes or no.';
