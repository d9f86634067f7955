CREATE VIEW data_quality AS
WITH partitions AS (
    SELECT
        coalesce(sum(p.outcomes_counted), 0)::bigint AS counted,
        coalesce(sum(p.duplicates_dropped), 0)::bigint AS duplicate,
        coalesce(sum(p.records_lost), 0)::bigint AS lost,
        coalesce(sum(p.dead_lettered), 0)::bigint AS dead_lettered
    FROM partition_progress p
), gateways AS (
    SELECT coalesce(sum(g.missing), 0)::bigint AS missing FROM gateway_progress g
), phases AS (
    SELECT e.key, e.experiment_id, p.phase, counted.requests, counted.units
    FROM experiments e
    JOIN experiment_phases p USING (experiment_id)
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(c.requests), 0)::bigint AS requests,
            coalesce(sum(c.first_requests), 0)::bigint AS units
        FROM experiment_counts c
        WHERE c.experiment_id = e.experiment_id AND c.phase = p.phase
    ) AS counted
), noticed AS (
    SELECT NULL::text AS experiment_key, NULL::uuid AS experiment_id, NULL::int AS phase, seen.*
    FROM partitions, gateways, LATERAL (VALUES
        ('outcomes', partitions.counted, NULL::bigint),
        ('missing', gateways.missing, partitions.counted + gateways.missing),
        ('duplicate', partitions.duplicate, partitions.counted + partitions.duplicate),
        ('dead_lettered', partitions.dead_lettered, partitions.counted + partitions.dead_lettered),
        ('lost_records', partitions.lost, NULL::bigint)
    ) AS seen (kind, n, out_of)
    UNION ALL
    SELECT phases.key, phases.experiment_id, phases.phase, seen.*
    FROM phases, LATERAL (
        SELECT
            coalesce(max(d.n) FILTER (WHERE d.kind = 'multiply_exposed'), 0) AS multiply_exposed,
            coalesce(max(d.n) FILTER (WHERE d.kind = 'late_outcomes'), 0) AS late_outcomes,
            coalesce(max(d.n) FILTER (WHERE d.kind = 'feedback'), 0) AS feedback,
            coalesce(max(d.n) FILTER (WHERE d.kind = 'late_feedback'), 0) AS late_feedback,
            coalesce(max(d.n) FILTER (WHERE d.kind = 'duplicate_feedback'), 0) AS duplicate_feedback,
            coalesce(max(d.n) FILTER (WHERE d.kind = 'unread_feedback'), 0) AS unread_feedback,
            coalesce(max(d.n) FILTER (WHERE d.kind = 'unreadable_feedback'), 0) AS unreadable_feedback
        FROM data_quality_counts d
        WHERE d.experiment_id = phases.experiment_id AND d.phase = phases.phase
    ) AS d, LATERAL (VALUES
        ('outcomes', phases.requests, NULL::bigint),
        ('units', phases.units, NULL::bigint),
        ('multiply_exposed', d.multiply_exposed, phases.units),
        ('late_outcomes', d.late_outcomes, phases.requests),
        ('feedback', d.feedback, NULL::bigint),
        ('late_feedback', d.late_feedback, d.feedback),
        ('duplicate_feedback', d.duplicate_feedback, d.feedback + d.duplicate_feedback),
        ('unread_feedback', d.unread_feedback, d.feedback),
        ('unreadable_feedback', d.unreadable_feedback, d.feedback)
    ) AS seen (kind, n, out_of)
)
SELECT
    noticed.experiment_key,
    noticed.phase,
    noticed.kind,
    noticed.n,
    noticed.out_of,
    noticed.n::float / nullif(noticed.out_of, 0) AS fraction,
    noticed.experiment_id
FROM noticed;

COMMENT ON VIEW data_quality IS
    'Whether the data are sound: what was counted, and what was missing, came twice, late, or could not be read. '
    'Rows without an experiment are of the whole installation, since what never arrived cannot be attributed.';
COMMENT ON COLUMN data_quality.experiment_key IS 'The experiment''s key; NULL for the whole installation.';
COMMENT ON COLUMN data_quality.phase IS 'The phase of the experiment, from 1; NULL for the whole installation.';
COMMENT ON COLUMN data_quality.kind IS
    'Of the installation: outcomes (counted once each), missing (numbered by a gateway and never arrived), '
    'duplicate (resent, and dropped), dead_lettered (could not be read or stored), lost_records (gone from '
    'Kafka before they were counted). Of an experiment: outcomes, units, multiply_exposed (units seen in more '
    'than one variant; only their first counts as exposed), late_outcomes and late_feedback (after the phase had '
    'ended), feedback (reports counted), duplicate_feedback (event ids seen before, and dropped), unread_feedback '
    '(reports under a name that no metric of the experiment reads), unreadable_feedback (reports that a share is '
    'read from, with a value that is neither true, false, 1 nor 0; they are left out).';
COMMENT ON COLUMN data_quality.n IS 'How many.';
COMMENT ON COLUMN data_quality.out_of IS 'Of how many; NULL where n stands for itself.';
COMMENT ON COLUMN data_quality.fraction IS 'n / out_of; NULL where that has no meaning.';
COMMENT ON COLUMN data_quality.experiment_id IS 'The experiment''s identifier.';
