CREATE VIEW experiment_variants AS
SELECT
    e.experiment_id,
    e.key AS experiment_key,
    e.route_key,
    e.kind,
    v.variant_index::smallint AS variant_index,
    CASE v.variant_index WHEN 0 THEN 'control' ELSE 'treatment' END AS role,
    v.variant_key
FROM experiments e
CROSS JOIN LATERAL (
    SELECT listed.place - 1, listed.variant ->> 'key'
    FROM jsonb_array_elements(e.definition -> 'variants') WITH ORDINALITY AS listed (variant, place)
    UNION ALL
    SELECT 0, e.control WHERE e.kind = 'canary'
    UNION ALL
    SELECT 1, e.definition ->> 'treatment' WHERE e.kind = 'canary'
) AS v (variant_index, variant_key);

COMMENT ON VIEW experiment_variants IS 'The variants of each experiment with the numbers they have in other tables.';
COMMENT ON COLUMN experiment_variants.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN experiment_variants.experiment_key IS 'The experiment''s key.';
COMMENT ON COLUMN experiment_variants.route_key IS 'The route it runs on.';
COMMENT ON COLUMN experiment_variants.kind IS '''canary'' or ''ab_test''.';
COMMENT ON COLUMN experiment_variants.variant_index IS
    'The variant''s number in the experiment: 0 is the control, 1 and up are the treatments as they were defined.';
COMMENT ON COLUMN experiment_variants.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN experiment_variants.variant_key IS 'The variant''s key.';

CREATE VIEW exposure_log AS
SELECT
    e.key AS experiment_key,
    e.route_key,
    x.phase,
    x.exposed_at,
    x.unit_hash,
    headgate_analysis_bucket(x.unit_hash) AS bucket,
    x.role,
    x.variant_index,
    x.variant_key,
    x.propensity,
    x.experiment_id
FROM exposures x
LEFT JOIN experiments e USING (experiment_id);

COMMENT ON VIEW exposure_log IS
    'The first time each unit was served in an experiment and phase, with names. A unit is found by '
    'unit_hash = headgate_unit_hash(''its id''); ids themselves are not kept. Empty for experiments whose unit is '
    'the request.';
COMMENT ON COLUMN exposure_log.experiment_key IS 'The experiment''s key.';
COMMENT ON COLUMN exposure_log.route_key IS 'The route it runs on.';
COMMENT ON COLUMN exposure_log.phase IS 'The phase of the experiment, from 1.';
COMMENT ON COLUMN exposure_log.exposed_at IS 'When the unit was first served, by the broker''s clock.';
COMMENT ON COLUMN exposure_log.unit_hash IS 'headgate_unit_hash of the unit''s id, a signed 64-bit number.';
COMMENT ON COLUMN exposure_log.bucket IS 'Its analysis bucket, in [0, 1024): the one of metric_buckets.';
COMMENT ON COLUMN exposure_log.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN exposure_log.variant_index IS 'The variant''s number in the experiment, 0 for the control.';
COMMENT ON COLUMN exposure_log.variant_key IS 'The variant that the unit was assigned to.';
COMMENT ON COLUMN exposure_log.propensity IS 'The probability, a fraction, with which the unit got that variant.';
COMMENT ON COLUMN exposure_log.experiment_id IS 'The experiment''s identifier.';

CREATE OR REPLACE VIEW decision_log AS
SELECT
    decisions.decided_at,
    experiments.key AS experiment_key,
    experiments.route_key,
    decisions.phase,
    decisions.action,
    decisions.rule,
    decisions.reason,
    decisions.actor,
    decisions.state,
    decisions.state_reason,
    decisions.allocation_version,
    decisions.applied_version,
    extract(epoch FROM decisions.applied_at - decisions.decided_at)::float AS applied_after_seconds,
    decisions.decision_id,
    decisions.experiment_id,
    decisions.variant_key
FROM decisions
LEFT JOIN experiments USING (experiment_id);

COMMENT ON COLUMN decision_log.decided_at IS 'When it was decided.';
COMMENT ON COLUMN decision_log.experiment_key IS 'The experiment''s key.';
COMMENT ON COLUMN decision_log.route_key IS 'The route whose traffic it changes.';
COMMENT ON COLUMN decision_log.phase IS 'The phase of the experiment, from 1.';
COMMENT ON COLUMN decision_log.action IS '''advance'', ''promote'' or ''rollback''.';
COMMENT ON COLUMN decision_log.rule IS 'The rule of the policy that spoke.';
COMMENT ON COLUMN decision_log.reason IS 'Why, as a sentence.';
COMMENT ON COLUMN decision_log.actor IS 'Who decided: a person, or Headgate itself.';
COMMENT ON COLUMN decision_log.state IS
    '''recorded'' until routing has seen it, then ''applied'', or ''dropped'' where it came too late.';
COMMENT ON COLUMN decision_log.state_reason IS 'Why it was dropped.';
COMMENT ON COLUMN decision_log.allocation_version IS 'The version of the route''s allocation it was based on.';
COMMENT ON COLUMN decision_log.applied_version IS 'The version that it made.';
COMMENT ON COLUMN decision_log.applied_after_seconds IS 'How long after the decision its allocation was in force.';
COMMENT ON COLUMN decision_log.decision_id IS 'The decision''s identifier.';
COMMENT ON COLUMN decision_log.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN decision_log.variant_key IS
    'The variant that an A/B test''s decision promotes; NULL where the experiment has a single treatment.';
