-- The same columns as before, of canaries only: the variants of an A/B test have no place in it.
CREATE OR REPLACE VIEW canary_health AS
WITH clock AS (
    SELECT now() AS as_of, floor(extract(epoch FROM now()) / 60)::bigint AS tick
), sides AS (
    SELECT e.*, 'control' AS role, e.control AS variant_key FROM experiments e WHERE e.kind = 'canary'
    UNION ALL
    SELECT e.*, 'treatment', e.definition ->> 'treatment' FROM experiments e WHERE e.kind = 'canary'
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
    windows.window_minutes, clock.tick, clock.as_of;

COMMENT ON COLUMN canary_health.experiment_key IS 'The canary''s key.';
COMMENT ON COLUMN canary_health.experiment_id IS 'The canary''s identifier.';
COMMENT ON COLUMN canary_health.route_key IS 'The route it runs on.';
COMMENT ON COLUMN canary_health.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN canary_health.variant_key IS 'The variant in that role.';
COMMENT ON COLUMN canary_health.window_minutes IS 'How many whole minutes the window holds: 1, 10 or 60.';
COMMENT ON COLUMN canary_health.requests IS 'Requests assigned to the variant, whoever served them in the end.';
COMMENT ON COLUMN canary_health.errors IS 'How many of them failed.';
COMMENT ON COLUMN canary_health.error_rate IS 'errors / requests, a fraction; NULL without requests.';
COMMENT ON COLUMN canary_health.content_filters IS 'How many answers a content filter cut off.';
COMMENT ON COLUMN canary_health.content_filter_rate IS
    'content_filters / requests, a fraction; NULL without requests.';
COMMENT ON COLUMN canary_health.mean_latency_seconds IS 'Mean time to the whole answer; NULL without requests.';
COMMENT ON COLUMN canary_health.counted_from IS 'The beginning of the window.';
COMMENT ON COLUMN canary_health.as_of IS 'Its end: now.';

CREATE VIEW canary_health_by_minute AS
SELECT
    e.key AS experiment_key,
    e.experiment_id,
    e.route_key,
    c.phase,
    to_timestamp(c.tick * 60) AS minute,
    c.tick,
    c.treatment_share_bp,
    c.role,
    CASE c.role WHEN 'control' THEN e.control ELSE e.definition ->> 'treatment' END AS variant_key,
    c.requests,
    c.errors,
    c.errors::float / nullif(c.requests, 0) AS error_rate,
    c.content_filters,
    c.content_filters::float / nullif(c.requests, 0) AS content_filter_rate,
    c.latency_us_sum / nullif(c.requests, 0)::float / 1e6 AS mean_latency_seconds,
    c.first_requests,
    c.first_request_errors,
    c.first_errors
FROM experiment_counts c
JOIN experiments e USING (experiment_id)
WHERE e.kind = 'canary';

COMMENT ON VIEW canary_health_by_minute IS
    'What was counted of each canary, minute by minute and for as long as it ran. A minute in which the share '
    'changed has a row for each share. A rate is NULL where nothing was counted.';
COMMENT ON COLUMN canary_health_by_minute.experiment_key IS 'The canary''s key.';
COMMENT ON COLUMN canary_health_by_minute.experiment_id IS 'The canary''s identifier.';
COMMENT ON COLUMN canary_health_by_minute.route_key IS 'The route it runs on.';
COMMENT ON COLUMN canary_health_by_minute.phase IS 'The phase of the canary, from 1.';
COMMENT ON COLUMN canary_health_by_minute.minute IS 'The beginning of the minute, by the broker''s clock.';
COMMENT ON COLUMN canary_health_by_minute.tick IS 'The same as a number: minutes since 1970.';
COMMENT ON COLUMN canary_health_by_minute.treatment_share_bp IS
    'The treatment''s share when these units were assigned, in basis points.';
COMMENT ON COLUMN canary_health_by_minute.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN canary_health_by_minute.variant_key IS 'The variant in that role.';
COMMENT ON COLUMN canary_health_by_minute.requests IS
    'Requests assigned to the variant, whoever served them in the end.';
COMMENT ON COLUMN canary_health_by_minute.errors IS 'How many of them failed.';
COMMENT ON COLUMN canary_health_by_minute.error_rate IS 'errors / requests, a fraction; NULL without requests.';
COMMENT ON COLUMN canary_health_by_minute.content_filters IS 'How many answers a content filter cut off.';
COMMENT ON COLUMN canary_health_by_minute.content_filter_rate IS
    'content_filters / requests, a fraction; NULL without requests.';
COMMENT ON COLUMN canary_health_by_minute.mean_latency_seconds IS
    'Mean time to the whole answer; NULL without requests.';
COMMENT ON COLUMN canary_health_by_minute.first_requests IS
    'First requests of units in the phase: what promotion is tested on.';
COMMENT ON COLUMN canary_health_by_minute.first_request_errors IS 'How many of those failed.';
COMMENT ON COLUMN canary_health_by_minute.first_errors IS
    'First errors of units in the phase: what rollback is tested on.';
