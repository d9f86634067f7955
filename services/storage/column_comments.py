"""What the columns mean of the tables that analysts read: with the views, they are the public contract.

``services.storage.tables`` attaches these to its columns, so that a column whose comment in the database
differs shows in ``alembic check``. docs/tables.md is made of them.
"""

from __future__ import annotations

import sqlalchemy as sa

_EXPERIMENT_ID = "The experiment's identifier."
_PHASE = "The phase of the experiment, from 1: a stretch with a fixed split."
_TICK = "The minute, by the broker's clock: minutes since 1970; to_timestamp(tick * 60) is its beginning."
_VARIANT_INDEX = "The variant's number in the experiment: 0 is the control (see experiment_variants)."
_ROLE = "'control' or 'treatment'."

_RESULTS = {
    "experiment_id": _EXPERIMENT_ID,
    "experiment": "The experiment's key.",
    "phase": _PHASE,
    "metric": "The metric's key; empty for sample_ratio, which is said of the units themselves.",
    "segment": "Empty for all units; attribute=value for a part of them.",
    "statistic": (
        "What the row says. Of one variant: mean, quantile, sample_ratio (its part of all units). Of two: "
        "absolute_difference (in the metric's unit), relative_difference (a fraction of the control's mean), "
        "chance_to_beat_control, expected_loss, e_value, units_needed and minutes_needed (to decide, should "
        "the difference stay what it is)."
    ),
    "variant": "The variant it is about.",
    "comparison_to": "The variant it is compared to; empty where it stands for itself.",
    "method": (
        "How it was computed: sequential, fixed_horizon, bayesian, exact_sequential; with _cuped at the end "
        "where a covariate reduced the variance. always_valid says when it may be looked at."
    ),
    "level": "The level of the interval, .95 for 95 %.",
    "point": "The estimate. NULL where there is not enough evidence for a number.",
    "lower": "The lower limit of its interval.",
    "upper": "The upper limit of its interval.",
    "p_value": "The p-value of no difference at all, of this row alone.",
    "adjusted_p_value": (
        "p_value corrected for everything that is tested beside it by the same method (Holm over goals, "
        "Benjamini-Hochberg over secondary metrics and over segments): the one to compare with alpha. The "
        "verdict is that of the sequential absolute_difference, with _cuped where there is such a row; the "
        "relative_difference asks the same and has the same. NULL for what is not corrected."
    ),
    "n": "How many observations it rests on.",
    "always_valid": (
        "Whether it may be looked at at any time; where false, only once, at the end planned beforehand."
    ),
    "exploratory": "Whether it raises a question instead of answering one: results of segments do.",
    "insufficient": "Where there is no number: what is missing, as a sentence.",
    "as_of": "The time of the counts it was computed from.",
}

COLUMN_COMMENTS: dict[str, dict[str, str]] = {
    "experiments": {
        "experiment_id": _EXPERIMENT_ID + " Assignment is salted with it.",
        "key": "The experiment's name for people.",
        "route_key": "The route whose traffic it splits.",
        "kind": "'canary', 'ab_test', 'shadow' or 'blue_green'.",
        "status": "'draft', 'running', 'paused', and finally 'stopped'.",
        "conclusion": "How it ended: 'promoted', 'rolled_back' or 'inconclusive'.",
        "definition": "The definition as its team gave it: variants, metrics, guardrails, plan.",
        "control": "The variant the others are compared to: the route's stable one when it started.",
        "phase": (
            "The present phase, from 1; a changed split of an A/B test begins the next, and so does the "
            "watch after a promotion."
        ),
        "stage": (
            "How far it has come: 'ramp' on its way up, 'deployed' and not served yet, 'watch' promoted and "
            "watched against a holdback."
        ),
        "approved_version": "The allocation for which a person approved what comes next.",
        "created_at": "When it was defined.",
        "started_at": "When it first got traffic.",
        "step_started_at": "When a canary's present step began.",
        "stopped_at": "When it was stopped for good.",
    },
    "experiment_phases": {
        "experiment_id": _EXPERIMENT_ID,
        "phase": _PHASE,
        "split": (
            "Of an A/B test: variants, weights_bp (their shares of its units) and traffic_bp (its share of "
            "all units), in basis points. NULL for a canary, whose share goes up within one phase."
        ),
        "started_at": "When the phase began.",
        "ended_at": "When it ended; NULL while it lasts.",
    },
    "metrics": {
        "key": "The metric's name.",
        "metric_id": "The metric's identifier.",
        "definition": (
            "What it means: source, kind (mean, ratio, proportion, quantile), per request or unit, "
            "direction, cap."
        ),
        "created_at": "When it was defined.",
        "updated_at": "When it was last changed; running tests keep the definition they began with.",
    },
    "experiment_counts": {
        "experiment_id": _EXPERIMENT_ID,
        "phase": _PHASE,
        "tick": _TICK,
        "treatment_share_bp": (
            "The share that the units were assigned at, in basis points. Of an A/B test: the variant's own "
            "weight (of the control: the rest)."
        ),
        "role": _ROLE,
        "variant_index": _VARIANT_INDEX,
        "requests": "Requests by assigned variant, whoever served them in the end.",
        "errors": "How many of them failed.",
        "first_errors": "First errors of units in the phase: what rollback is tested on.",
        "content_filters": "Answers that a content filter cut off.",
        "first_content_filters": "The first such answer of each unit in the phase.",
        "first_requests": "First requests of units in the phase: how many units were exposed.",
        "first_request_errors": "How many first requests failed: what promotion is tested on.",
        "latency_us_sum": "The requests' latencies added up, in microseconds.",
        "latency_below_p50": (
            "Successful first requests by where their latency lies among the control's of the minutes "
            "before: below its median."
        ),
        "latency_p50_to_p75": "The same, from its median to its 75th percentile.",
        "latency_p75_to_p90": "The same, from its 75th to its 90th percentile.",
        "latency_p90_to_p95": "The same, from its 90th to its 95th percentile.",
        "latency_p95_to_p99": "The same, from its 95th to its 99th percentile.",
        "latency_above_p99": "The same, above its 99th percentile.",
        "stamp": "The transaction that wrote the row: a reader that remembers it finds what is new.",
    },
    "route_counts": {
        "route_key": "The name that clients put in model.",
        "variant_key": "The variant that was assigned.",
        "tick": _TICK,
        "requests": "Requests.",
        "errors": "How many of them failed.",
        "content_filters": "Answers that a content filter cut off.",
        "latency_us_sum": "Latencies added up, in microseconds.",
        "prompt_tokens": "Prompt tokens added up, where the provider reported them.",
        "completion_tokens": "Completion tokens added up, where the provider reported them.",
    },
    "exposures": {
        "experiment_id": _EXPERIMENT_ID,
        "phase": _PHASE,
        "unit_hash": "headgate_unit_hash of the unit's id, a signed 64-bit number; ids are not kept.",
        "role": _ROLE,
        "variant_index": _VARIANT_INDEX,
        "variant_key": "The variant that the unit was assigned to.",
        "propensity": "The probability, a fraction, with which the unit got that variant.",
        "tick": _TICK,
        "exposed_at": "When the unit was first served, by the broker's clock.",
    },
    "bucket_sums": {
        "experiment_id": _EXPERIMENT_ID,
        "phase": _PHASE,
        "variant_index": _VARIANT_INDEX,
        "segment": (
            "Empty for all requests; attribute=value for a part of them; of a canary, share=<basis points> "
            "for those that were assigned while the treatment had that share."
        ),
        "partition": "The partition of outcomes.v1 that was summed: buckets whose remainder it is.",
        "partitions": "How many partitions there are.",
        "columns": "What is summed, in the order of the sums (see metric_buckets.column_key).",
        "sums": "The packed sums; metric_buckets unfolds them, headgate_int64 reads one.",
        "sketches": (
            "Distributions of latency and first_token, as MessagePack: "
            "{source: {analysis bucket modulo 32: [[cell, ...], [count, ...]]}} on a logarithmic scale with "
            "1 % relative error (analytics/sketch.py)."
        ),
        "stamp": "The transaction that wrote the row: a reader that remembers it finds what is new.",
    },
    "segment_values": {
        "experiment_id": _EXPERIMENT_ID,
        "attribute": "The attribute, as the experiment declares it.",
        "value": "A value that has a segment of its own.",
        "first_seen_at": "When the value was first seen.",
    },
    "endpoint_prices": {
        "endpoint_key": "The endpoint.",
        "config_timeline": "With config_counter: the endpoint's configuration that brought them.",
        "config_counter": "Higher is newer, within one timeline of the database.",
        "effective_at": "From when on. A gateway has them a moment later, and then counts with them.",
        "input_per_million": "Dollars for a million prompt tokens. NULL: from then on there are no prices.",
        "cached_input_per_million": (
            "Dollars for a million of those that the provider had in its cache. NULL: as the others."
        ),
        "output_per_million": "Dollars for a million completion tokens.",
        "actor": "Who set them.",
    },
    "experiment_results": _RESULTS,
    "experiment_results_history": {
        **_RESULTS,
        "recorded_at": "When the row was kept.",
        "occasion": (
            "Why: 'hour' once an hour, and in a phase's first hour with the first number and after 1, 5, 15 "
            "and 30 minutes; 'decision' at each decision; 'end' at the end of a phase."
        ),
        "decision_id": "The decision it was kept for.",
    },
}


def attach_to(metadata: sa.MetaData) -> None:
    """Give every column its comment. Raises KeyError where one names a column that is not there."""
    for table, comments in COLUMN_COMMENTS.items():
        for column, comment in comments.items():
            metadata.tables[table].c[column].comment = comment
