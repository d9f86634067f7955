-- Assignment, recomputed. The salts are those of services/domain/assignment.py.

CREATE FUNCTION headgate_split_place(experiment_id uuid, unit text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN headgate_basis_point(experiment_id::text || ':split', unit);

COMMENT ON FUNCTION headgate_split_place(uuid, text) IS
    'The unit''s place on the scale of the experiment''s split, in [0, 10000). A canary''s treatment owns the '
    'places below its share in basis points; the variants of an A/B test own cumulative ranges, in order.';

CREATE FUNCTION headgate_inclusion_place(experiment_id uuid, unit text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN headgate_basis_point(experiment_id::text || ':inclusion', unit);

COMMENT ON FUNCTION headgate_inclusion_place(uuid, text) IS
    'The unit''s place on the scale that decides whether it takes part in an A/B test, in [0, 10000): it does '
    'where the place is below the test''s share of traffic in basis points.';

CREATE FUNCTION headgate_analysis_bucket(unit_hash bigint) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ((unit_hash >> 54) & 1023)::int;

COMMENT ON FUNCTION headgate_analysis_bucket(bigint) IS
    'The analysis bucket, in [0, 1024), of exposures.unit_hash or headgate_unit_hash(unit): all that a unit '
    'does is summed in one bucket of metric_buckets.';

CREATE FUNCTION headgate_assigned_variant(
    experiment_key text, phase int, unit text, treatment_share_bp int DEFAULT NULL
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN e.kind = 'canary' THEN CASE
            WHEN headgate_split_place(e.experiment_id, unit) < headgate_assigned_variant.treatment_share_bp
                THEN e.definition ->> 'treatment'
            WHEN headgate_assigned_variant.treatment_share_bp IS NOT NULL THEN e.control
        END
        WHEN headgate_inclusion_place(e.experiment_id, unit) < (p.split ->> 'traffic_bp')::int THEN (
            SELECT owner.variant_key
            FROM (
                SELECT
                    listed.variant_key,
                    listed.place,
                    sum(listed.weight_bp::int) OVER (ORDER BY listed.place) AS range_end
                FROM ROWS FROM (
                    jsonb_array_elements_text(p.split -> 'variants'),
                    jsonb_array_elements_text(p.split -> 'weights_bp')
                ) WITH ORDINALITY AS listed (variant_key, weight_bp, place)
            ) AS owner
            WHERE headgate_split_place(e.experiment_id, unit) < owner.range_end
            ORDER BY owner.place
            LIMIT 1
        )
    END
    FROM experiments e
    LEFT JOIN experiment_phases p
        ON p.experiment_id = e.experiment_id AND p.phase = headgate_assigned_variant.phase
    WHERE e.key = headgate_assigned_variant.experiment_key
);

COMMENT ON FUNCTION headgate_assigned_variant(text, int, text, int) IS
    'The variant that a unit has in a phase of an experiment. NULL for a unit outside an A/B test''s share of '
    'traffic: it gets what the route serves without the test, and counts nowhere. The split of a canary moves '
    'within its phase, so it also needs the treatment''s share in basis points, and is NULL without.';

-- Sums by analysis bucket, read.

CREATE FUNCTION headgate_int64(bytes bytea, place int) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || nullif(encode(substring(bytes FROM 8 * place + 1 FOR 8), 'hex'), ''))::bit(64)::bigint;

COMMENT ON FUNCTION headgate_int64(bytea, int) IS
    'The 64-bit big-endian integer at a place, counted from 0, of packed integers; NULL behind their end.';

CREATE FUNCTION headgate_column_scale(column_key text) RETURNS bigint
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

COMMENT ON FUNCTION headgate_column_scale(text) IS
    'What the whole numbers summed in a column of metric_buckets are divided by: seconds, dollars, log seconds, '
    'scores and covariates are summed in millionths (dollars in billionths), everything else as it is.';
