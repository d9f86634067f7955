-- Shares of feedback have columns of their own: what was summed for them is renamed.
UPDATE bucket_sums b
SET stamp = pg_current_xact_id(),
    columns = (
        SELECT array_agg(
            CASE WHEN named.source IS NULL THEN c.column_key ELSE 'yes:' || c.column_key END ORDER BY c.number
        )
        FROM unnest(b.columns) WITH ORDINALITY AS c (column_key, number)
        LEFT JOIN LATERAL (
            SELECT metric ->> 'source' AS source
            FROM jsonb_array_elements(e.definition -> 'metrics') AS metric
            WHERE metric ->> 'source' = c.column_key
                AND metric ->> 'source' LIKE 'feedback:%'
                AND metric ->> 'kind' = 'proportion'
                AND coalesce(metric ->> 'per', 'request') = 'request'
            LIMIT 1
        ) AS named ON true
    )
FROM experiments e
WHERE e.experiment_id = b.experiment_id
    AND e.kind = 'ab_test'
    AND array_to_string(b.columns, ' ') LIKE '%feedback:%';

CREATE OR REPLACE FUNCTION headgate_column_scale(column_key text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN column_key LIKE 'units_with:%' THEN 1
    WHEN column_key LIKE 'feedback:%' THEN 1000000
    WHEN column_key LIKE 'yes:%' THEN 1000000
    ELSE CASE split_part(column_key, '<=', 1)
        WHEN 'cost' THEN 1000000000
        WHEN 'latency' THEN 1000000
        WHEN 'log_latency' THEN 1000000
        WHEN 'first_token' THEN 1000000
        WHEN 'units' THEN 1000000
        ELSE 1
    END
END;

COMMENT ON COLUMN metric_buckets.column_key IS
    'What is summed: units, error, content_filter, latency, log_latency, first_token, prompt_tokens, '
    'completion_tokens, total_tokens, cost, feedback:<name>. source<=cap (in whole numbers) has larger values cut '
    'to the cap; yes:feedback:<name> has only the reports that are a yes or a no, as 1 and 0; units_with:<source> '
    'sums units with at least one true value.';

COMMENT ON COLUMN metric_buckets.segment IS
    'Empty for all requests; attribute=value for a part, attribute=other for the values that came late (a value '
    'that is other itself is in double quotes); of a canary, share=<basis points> for those that were assigned '
    'while the treatment had that share.';
