CREATE VIEW cost_by_day AS
SELECT
    u.day,
    u.route_key,
    u.variant_key,
    nullif(u.team_key, '') AS team_key,
    sum(u.requests)::bigint AS requests,
    sum(u.errors)::bigint AS errors,
    sum(u.prompt_tokens)::bigint AS prompt_tokens,
    sum(u.cached_tokens)::bigint AS cached_tokens,
    sum(u.completion_tokens)::bigint AS completion_tokens,
    sum(u.cost_nanos) * 0.000000001 AS cost_usd,
    sum(u.unpriced_requests)::bigint AS unpriced_requests
FROM usage u
GROUP BY u.day, u.route_key, u.variant_key, u.team_key;

COMMENT ON VIEW cost_by_day IS
    'What was used and what it cost, by UTC day, route, variant and team: every request that gateways passed on or '
    'answered for a variant, whether or not an experiment runs. Copies for shadows are not in it; see '
    'shadow_cost_by_day. Kept for good.';
COMMENT ON COLUMN cost_by_day.day IS 'The UTC day, by the broker''s clock.';
COMMENT ON COLUMN cost_by_day.route_key IS 'The name that clients put in model.';
COMMENT ON COLUMN cost_by_day.variant_key IS 'The variant that was assigned.';
COMMENT ON COLUMN cost_by_day.team_key IS 'The team of the key that was presented, at that time; NULL for none.';
COMMENT ON COLUMN cost_by_day.requests IS 'Requests.';
COMMENT ON COLUMN cost_by_day.errors IS 'How many of them failed.';
COMMENT ON COLUMN cost_by_day.prompt_tokens IS
    'Prompt tokens added up, cached ones included, where the provider reported them.';
COMMENT ON COLUMN cost_by_day.cached_tokens IS 'Those of them that the provider had in its cache.';
COMMENT ON COLUMN cost_by_day.completion_tokens IS
    'Completion tokens added up, where the provider reported them.';
COMMENT ON COLUMN cost_by_day.cost_usd IS
    'Dollars, exact to the billionth: each request at the prices that its gateway had at the time.';
COMMENT ON COLUMN cost_by_day.unpriced_requests IS
    'Requests that used tokens of an endpoint without prices: what they cost is not in cost_usd.';

CREATE VIEW usage_by_key AS
SELECT
    u.day,
    u.key_id,
    c.label AS key_label,
    nullif(u.team_key, '') AS team_key,
    u.route_key,
    sum(u.requests)::bigint AS requests,
    sum(u.errors)::bigint AS errors,
    sum(u.prompt_tokens)::bigint AS prompt_tokens,
    sum(u.cached_tokens)::bigint AS cached_tokens,
    sum(u.completion_tokens)::bigint AS completion_tokens,
    sum(u.cost_nanos) * 0.000000001 AS cost_usd,
    sum(u.unpriced_requests)::bigint AS unpriced_requests,
    to_timestamp(max(u.last_tick) * 60) AS last_used_minute
FROM usage u
LEFT JOIN credentials c USING (key_id)
GROUP BY u.day, u.key_id, c.label, u.team_key, u.route_key;

COMMENT ON VIEW usage_by_key IS
    'The same as cost_by_day, by UTC day, key, team and route, with the minute in which each was used last.';
COMMENT ON COLUMN usage_by_key.day IS 'The UTC day, by the broker''s clock.';
COMMENT ON COLUMN usage_by_key.key_id IS
    'The key that was presented; empty for what was counted before keys were.';
COMMENT ON COLUMN usage_by_key.key_label IS 'What the key is for, as its creator said.';
COMMENT ON COLUMN usage_by_key.team_key IS 'The team of the key at that time; NULL for none.';
COMMENT ON COLUMN usage_by_key.route_key IS 'The name that clients put in model.';
COMMENT ON COLUMN usage_by_key.requests IS 'Requests.';
COMMENT ON COLUMN usage_by_key.errors IS 'How many of them failed.';
COMMENT ON COLUMN usage_by_key.prompt_tokens IS
    'Prompt tokens added up, cached ones included, where the provider reported them.';
COMMENT ON COLUMN usage_by_key.cached_tokens IS 'Those of them that the provider had in its cache.';
COMMENT ON COLUMN usage_by_key.completion_tokens IS
    'Completion tokens added up, where the provider reported them.';
COMMENT ON COLUMN usage_by_key.cost_usd IS 'Dollars, exact to the billionth.';
COMMENT ON COLUMN usage_by_key.unpriced_requests IS
    'Requests that used tokens of an endpoint without prices: what they cost is not in cost_usd.';
COMMENT ON COLUMN usage_by_key.last_used_minute IS 'The minute of the last request of that day.';

CREATE VIEW shadow_cost_by_day AS
SELECT
    (c.occurred_at AT TIME ZONE 'UTC')::date AS day,
    e.key AS experiment_key,
    c.experiment_id,
    c.route_key,
    c.shadow_variant AS variant_key,
    count(*) AS requests,
    coalesce(sum(c.shadow_prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(c.shadow_completion_tokens), 0)::bigint AS completion_tokens,
    coalesce(sum(c.shadow_cost_nanos), 0) * 0.000000001 AS cost_usd,
    count(*) FILTER (
        WHERE c.shadow_cost_nanos IS NULL
        AND coalesce(c.shadow_prompt_tokens, 0) + coalesce(c.shadow_completion_tokens, 0) > 0
    ) AS unpriced_requests
FROM comparisons c
LEFT JOIN experiments e USING (experiment_id)
GROUP BY 1, e.key, c.experiment_id, c.route_key, c.shadow_variant;

COMMENT ON VIEW shadow_cost_by_day IS
    'What shadows cost, by UTC day, experiment and variant: copies of requests, which no caller asked for. They are '
    'in no team''s cost, and not in cost_by_day.';
COMMENT ON COLUMN shadow_cost_by_day.day IS 'The UTC day of the request that was copied, by its gateway''s clock.';
COMMENT ON COLUMN shadow_cost_by_day.experiment_key IS 'The shadow''s key.';
COMMENT ON COLUMN shadow_cost_by_day.experiment_id IS 'The shadow''s identifier.';
COMMENT ON COLUMN shadow_cost_by_day.route_key IS 'The route whose requests were copied.';
COMMENT ON COLUMN shadow_cost_by_day.variant_key IS 'The variant that got the copies.';
COMMENT ON COLUMN shadow_cost_by_day.requests IS 'Copies that were asked and compared, or failed.';
COMMENT ON COLUMN shadow_cost_by_day.prompt_tokens IS 'Prompt tokens added up, where the provider reported them.';
COMMENT ON COLUMN shadow_cost_by_day.completion_tokens IS
    'Completion tokens added up, where the provider reported them.';
COMMENT ON COLUMN shadow_cost_by_day.cost_usd IS 'Dollars, exact to the billionth.';
COMMENT ON COLUMN shadow_cost_by_day.unpriced_requests IS
    'Copies that used tokens of an endpoint without prices: what they cost is not in cost_usd.';
