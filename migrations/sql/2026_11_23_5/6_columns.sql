-- Comments of the columns of tables; services/storage/column_comments.py holds the present ones.

COMMENT ON COLUMN experiments.experiment_id IS 'The experiment''s identifier. Assignment is salted with it.';
COMMENT ON COLUMN experiments.key IS 'The experiment''s name for people.';
COMMENT ON COLUMN experiments.route_key IS 'The route whose traffic it splits.';
COMMENT ON COLUMN experiments.kind IS '''canary'' or ''ab_test''.';
COMMENT ON COLUMN experiments.status IS '''draft'', ''running'', ''paused'', and finally ''stopped''.';
COMMENT ON COLUMN experiments.conclusion IS
    'How it ended: ''promoted'', ''rolled_back'' or ''inconclusive''.';
COMMENT ON COLUMN experiments.definition IS
    'The definition as its team gave it: variants, metrics, guardrails, plan.';
COMMENT ON COLUMN experiments.control IS
    'The variant the others are compared to: the route''s stable one when it started.';
COMMENT ON COLUMN experiments.phase IS
    'The present phase, from 1; a changed split of an A/B test begins the next.';
COMMENT ON COLUMN experiments.created_at IS 'When it was defined.';
COMMENT ON COLUMN experiments.started_at IS 'When it first got traffic.';
COMMENT ON COLUMN experiments.step_started_at IS 'When a canary''s present step began.';
COMMENT ON COLUMN experiments.stopped_at IS 'When it was stopped for good.';

COMMENT ON COLUMN experiment_phases.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN experiment_phases.phase IS
    'The phase of the experiment, from 1: a stretch with a fixed split.';
COMMENT ON COLUMN experiment_phases.split IS
    'Of an A/B test: variants, weights_bp (their shares of its units) and traffic_bp (its share of all '
    'units), in basis points. NULL for a canary, whose share goes up within one phase.';
COMMENT ON COLUMN experiment_phases.started_at IS 'When the phase began.';
COMMENT ON COLUMN experiment_phases.ended_at IS 'When it ended; NULL while it lasts.';

COMMENT ON COLUMN metrics.key IS 'The metric''s name.';
COMMENT ON COLUMN metrics.metric_id IS 'The metric''s identifier.';
COMMENT ON COLUMN metrics.definition IS
    'What it means: source, kind (mean, ratio, proportion, quantile), per request or unit, direction, '
    'cap.';
COMMENT ON COLUMN metrics.created_at IS 'When it was defined.';
COMMENT ON COLUMN metrics.updated_at IS
    'When it was last changed; running tests keep the definition they began with.';

COMMENT ON COLUMN experiment_counts.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN experiment_counts.phase IS
    'The phase of the experiment, from 1: a stretch with a fixed split.';
COMMENT ON COLUMN experiment_counts.tick IS
    'The minute, by the broker''s clock: minutes since 1970; to_timestamp(tick * 60) is its beginning.';
COMMENT ON COLUMN experiment_counts.treatment_share_bp IS
    'The share that the units were assigned at, in basis points. Of an A/B test: the variant''s own weight'
    ' (of the control: the rest).';
COMMENT ON COLUMN experiment_counts.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN experiment_counts.variant_index IS
    'The variant''s number in the experiment: 0 is the control (see experiment_variants).';
COMMENT ON COLUMN experiment_counts.requests IS
    'Requests by assigned variant, whoever served them in the end.';
COMMENT ON COLUMN experiment_counts.errors IS 'How many of them failed.';
COMMENT ON COLUMN experiment_counts.first_errors IS
    'First errors of units in the phase: what rollback is tested on.';
COMMENT ON COLUMN experiment_counts.content_filters IS 'Answers that a content filter cut off.';
COMMENT ON COLUMN experiment_counts.first_content_filters IS
    'The first such answer of each unit in the phase.';
COMMENT ON COLUMN experiment_counts.first_requests IS
    'First requests of units in the phase: how many units were exposed.';
COMMENT ON COLUMN experiment_counts.first_request_errors IS
    'How many first requests failed: what promotion is tested on.';
COMMENT ON COLUMN experiment_counts.latency_us_sum IS 'The requests'' latencies added up, in microseconds.';
COMMENT ON COLUMN experiment_counts.latency_below_p50 IS
    'Successful first requests by where their latency lies among the control''s of the minutes before: '
    'below its median.';
COMMENT ON COLUMN experiment_counts.latency_p50_to_p75 IS 'The same, from its median to its 75th percentile.';
COMMENT ON COLUMN experiment_counts.latency_p75_to_p90 IS 'The same, from its 75th to its 90th percentile.';
COMMENT ON COLUMN experiment_counts.latency_p90_to_p95 IS 'The same, from its 90th to its 95th percentile.';
COMMENT ON COLUMN experiment_counts.latency_p95_to_p99 IS 'The same, from its 95th to its 99th percentile.';
COMMENT ON COLUMN experiment_counts.latency_above_p99 IS 'The same, above its 99th percentile.';
COMMENT ON COLUMN experiment_counts.stamp IS
    'The transaction that wrote the row: a reader that remembers it finds what is new.';

COMMENT ON COLUMN route_counts.route_key IS 'The name that clients put in model.';
COMMENT ON COLUMN route_counts.variant_key IS 'The variant that was assigned.';
COMMENT ON COLUMN route_counts.tick IS
    'The minute, by the broker''s clock: minutes since 1970; to_timestamp(tick * 60) is its beginning.';
COMMENT ON COLUMN route_counts.requests IS 'Requests.';
COMMENT ON COLUMN route_counts.errors IS 'How many of them failed.';
COMMENT ON COLUMN route_counts.content_filters IS 'Answers that a content filter cut off.';
COMMENT ON COLUMN route_counts.latency_us_sum IS 'Latencies added up, in microseconds.';
COMMENT ON COLUMN route_counts.prompt_tokens IS 'Prompt tokens added up, where the provider reported them.';
COMMENT ON COLUMN route_counts.completion_tokens IS
    'Completion tokens added up, where the provider reported them.';

COMMENT ON COLUMN exposures.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN exposures.phase IS 'The phase of the experiment, from 1: a stretch with a fixed split.';
COMMENT ON COLUMN exposures.unit_hash IS
    'headgate_unit_hash of the unit''s id, a signed 64-bit number; ids are not kept.';
COMMENT ON COLUMN exposures.role IS '''control'' or ''treatment''.';
COMMENT ON COLUMN exposures.variant_index IS
    'The variant''s number in the experiment: 0 is the control (see experiment_variants).';
COMMENT ON COLUMN exposures.variant_key IS 'The variant that the unit was assigned to.';
COMMENT ON COLUMN exposures.propensity IS
    'The probability, a fraction, with which the unit got that variant.';
COMMENT ON COLUMN exposures.tick IS
    'The minute, by the broker''s clock: minutes since 1970; to_timestamp(tick * 60) is its beginning.';
COMMENT ON COLUMN exposures.exposed_at IS 'When the unit was first served, by the broker''s clock.';

COMMENT ON COLUMN bucket_sums.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN bucket_sums.phase IS 'The phase of the experiment, from 1: a stretch with a fixed split.';
COMMENT ON COLUMN bucket_sums.variant_index IS
    'The variant''s number in the experiment: 0 is the control (see experiment_variants).';
COMMENT ON COLUMN bucket_sums.segment IS
    'Empty for all requests; attribute=value for a part of them; of a canary, share=<basis points> for '
    'those that were assigned while the treatment had that share.';
COMMENT ON COLUMN bucket_sums.partition IS
    'The partition of outcomes.v1 that was summed: buckets whose remainder it is.';
COMMENT ON COLUMN bucket_sums.partitions IS 'How many partitions there are.';
COMMENT ON COLUMN bucket_sums.columns IS
    'What is summed, in the order of the sums (see metric_buckets.column_key).';
COMMENT ON COLUMN bucket_sums.sums IS
    'The packed sums; metric_buckets unfolds them, headgate_int64 reads one.';
COMMENT ON COLUMN bucket_sums.sketches IS
    'Distributions of latency and first_token, as MessagePack: {source: {analysis bucket modulo 32: '
    '[[cell, ...], [count, ...]]}} on a logarithmic scale with 1 % relative error (analytics/sketch.py).';
COMMENT ON COLUMN bucket_sums.stamp IS
    'The transaction that wrote the row: a reader that remembers it finds what is new.';

COMMENT ON COLUMN segment_values.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN segment_values.attribute IS 'The attribute, as the experiment declares it.';
COMMENT ON COLUMN segment_values.value IS 'A value that has a segment of its own.';
COMMENT ON COLUMN segment_values.first_seen_at IS 'When the value was first seen.';

COMMENT ON COLUMN experiment_results.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN experiment_results.experiment IS 'The experiment''s key.';
COMMENT ON COLUMN experiment_results.phase IS
    'The phase of the experiment, from 1: a stretch with a fixed split.';
COMMENT ON COLUMN experiment_results.metric IS
    'The metric''s key; ''units'' for what is said of the units themselves, such as sample_ratio.';
COMMENT ON COLUMN experiment_results.segment IS 'Empty for all units; attribute=value for a part of them.';
COMMENT ON COLUMN experiment_results.statistic IS
    'What the row says. Of one variant: mean, quantile, sample_ratio (its part of all units). Of two: '
    'absolute_difference (in the metric''s unit), relative_difference (a fraction of the control''s mean), '
    'chance_to_beat_control, expected_loss, e_value, units_needed and minutes_needed (to decide, should '
    'the difference stay what it is).';
COMMENT ON COLUMN experiment_results.variant IS 'The variant it is about.';
COMMENT ON COLUMN experiment_results.comparison_to IS
    'The variant it is compared to; empty where it stands for itself.';
COMMENT ON COLUMN experiment_results.method IS
    'How it was computed: sequential, fixed_horizon, bayesian, exact_sequential; with _cuped at the end '
    'where a covariate reduced the variance. always_valid says when it may be looked at.';
COMMENT ON COLUMN experiment_results.level IS 'The level of the interval, .95 for 95 %.';
COMMENT ON COLUMN experiment_results.point IS
    'The estimate. NULL where there is not enough evidence for a number.';
COMMENT ON COLUMN experiment_results.lower IS 'The lower limit of its interval.';
COMMENT ON COLUMN experiment_results.upper IS 'The upper limit of its interval.';
COMMENT ON COLUMN experiment_results.p_value IS 'The p-value of no difference at all, of this row alone.';
COMMENT ON COLUMN experiment_results.adjusted_p_value IS
    'Corrected for everything that is tested beside it (Holm over goals, Benjamini-Hochberg over '
    'secondary metrics and over segments): the one to compare with alpha, on the row that decides.';
COMMENT ON COLUMN experiment_results.n IS 'How many observations it rests on.';
COMMENT ON COLUMN experiment_results.always_valid IS
    'Whether it may be looked at at any time; where false, only once, at the end planned beforehand.';
COMMENT ON COLUMN experiment_results.exploratory IS
    'Whether it raises a question instead of answering one: results of segments do.';
COMMENT ON COLUMN experiment_results.insufficient IS
    'Where there is no number: what is missing, as a sentence.';
COMMENT ON COLUMN experiment_results.as_of IS 'The time of the counts it was computed from.';

COMMENT ON COLUMN experiment_results_history.experiment_id IS 'The experiment''s identifier.';
COMMENT ON COLUMN experiment_results_history.experiment IS 'The experiment''s key.';
COMMENT ON COLUMN experiment_results_history.phase IS
    'The phase of the experiment, from 1: a stretch with a fixed split.';
COMMENT ON COLUMN experiment_results_history.metric IS
    'The metric''s key; ''units'' for what is said of the units themselves, such as sample_ratio.';
COMMENT ON COLUMN experiment_results_history.segment IS
    'Empty for all units; attribute=value for a part of them.';
COMMENT ON COLUMN experiment_results_history.statistic IS
    'What the row says. Of one variant: mean, quantile, sample_ratio (its part of all units). Of two: '
    'absolute_difference (in the metric''s unit), relative_difference (a fraction of the control''s mean), '
    'chance_to_beat_control, expected_loss, e_value, units_needed and minutes_needed (to decide, should '
    'the difference stay what it is).';
COMMENT ON COLUMN experiment_results_history.variant IS 'The variant it is about.';
COMMENT ON COLUMN experiment_results_history.comparison_to IS
    'The variant it is compared to; empty where it stands for itself.';
COMMENT ON COLUMN experiment_results_history.method IS
    'How it was computed: sequential, fixed_horizon, bayesian, exact_sequential; with _cuped at the end '
    'where a covariate reduced the variance. always_valid says when it may be looked at.';
COMMENT ON COLUMN experiment_results_history.level IS 'The level of the interval, .95 for 95 %.';
COMMENT ON COLUMN experiment_results_history.point IS
    'The estimate. NULL where there is not enough evidence for a number.';
COMMENT ON COLUMN experiment_results_history.lower IS 'The lower limit of its interval.';
COMMENT ON COLUMN experiment_results_history.upper IS 'The upper limit of its interval.';
COMMENT ON COLUMN experiment_results_history.p_value IS
    'The p-value of no difference at all, of this row alone.';
COMMENT ON COLUMN experiment_results_history.adjusted_p_value IS
    'Corrected for everything that is tested beside it (Holm over goals, Benjamini-Hochberg over '
    'secondary metrics and over segments): the one to compare with alpha, on the row that decides.';
COMMENT ON COLUMN experiment_results_history.n IS 'How many observations it rests on.';
COMMENT ON COLUMN experiment_results_history.always_valid IS
    'Whether it may be looked at at any time; where false, only once, at the end planned beforehand.';
COMMENT ON COLUMN experiment_results_history.exploratory IS
    'Whether it raises a question instead of answering one: results of segments do.';
COMMENT ON COLUMN experiment_results_history.insufficient IS
    'Where there is no number: what is missing, as a sentence.';
COMMENT ON COLUMN experiment_results_history.as_of IS 'The time of the counts it was computed from.';
COMMENT ON COLUMN experiment_results_history.recorded_at IS 'When the row was kept.';
COMMENT ON COLUMN experiment_results_history.occasion IS
    'Why: ''hour'' once an hour, and in a phase''s first hour with the first number and after 1, 5, 15 and 30 '
    'minutes; ''decision'' at each decision; ''end'' at the end of a phase.';
COMMENT ON COLUMN experiment_results_history.decision_id IS 'The decision it was kept for.';
