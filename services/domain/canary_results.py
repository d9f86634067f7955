"""The results of a canary in long form: what its two variants did, and the evidence of each test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.buckets import BucketSums, bucketed_mean
from analytics.comparison import Method, fixed_horizon
from analytics.difference import difference_estimate
from analytics.estimates import Effect
from analytics.results import Insufficient
from analytics.sample_ratio import SplitCounts, sample_ratio
from analytics.sequential import boundary, sequential
from services.domain.ab_results import students_reach
from services.domain.assignment import BASIS_POINTS
from services.domain.canary_tests import StepBuckets, role_sums
from services.domain.counts import Count, CountTable
from services.domain.evaluation import Evaluation, compared_first_requests, error_rate_difference
from services.domain.events import Role
from services.domain.metric import BUILT_IN, Metric
from services.domain.metric_sums import comparable
from services.domain.results import EXACT, FIXED_HORIZON, SEQUENTIAL, UNITS, ResultRow, Subject
from services.domain.sketches import SourceSketches

ALPHA = 0.05
SHOWN = tuple(metric for metric in BUILT_IN.values() if not metric.source.startswith("feedback:"))
"""The metrics every canary has results of."""


@dataclass(frozen=True, slots=True)
class CanaryNames:
    """The variants of a canary."""

    treatment: str
    control: str


def canary_rows(
    evaluation: Evaluation,
    names: CanaryNames,
    buckets: Sequence[StepBuckets],
    sketches: Mapping[Role, SourceSketches],
) -> list[ResultRow]:
    """Return every result of a canary. ``buckets`` has all columns, for each share the treatment had."""
    counts = evaluation.inputs.counts
    rows = list(_sample_ratio_rows(counts, names))
    for metric in SHOWN:
        if metric.kind == "quantile":
            rows += _quantile_rows(metric, names, sketches)
        else:
            rows += _metric_rows(metric, names, role_sums(buckets, metric))
    rows.append(_exact_difference(counts, names))
    rows += _evidence_rows(evaluation, names)
    return rows


def _metric_rows(
    metric: Metric, names: CanaryNames, sums: tuple[BucketSums, BucketSums] | Insufficient
) -> Iterator[ResultRow]:
    subjects = Subject(metric.key, names.treatment), Subject(metric.key, names.control)
    if isinstance(sums, Insufficient):
        for subject in subjects:
            yield subject.without("mean", SEQUENTIAL, sums.reason, always_valid=True)
        return
    estimates = bucketed_mean(sums[0]), bucketed_mean(sums[1])
    for subject, estimate in zip(subjects, estimates, strict=True):
        if isinstance(estimate, Insufficient):
            yield subject.without("mean", SEQUENTIAL, estimate.reason, always_valid=True)
            continue
        yield subject.mean(metric, estimate, SEQUENTIAL, boundary(estimate.sample_size, ALPHA), ALPHA)
        yield subject.mean(metric, estimate, FIXED_HORIZON, students_reach(estimate, ALPHA), ALPHA)
    compared = Subject(metric.key, names.treatment, names.control)
    pair = comparable(metric, sums, estimates)
    for effect in Effect:
        always = sequential(*pair, alpha=ALPHA, effect=effect)
        once = fixed_horizon(*pair, alpha=ALPHA, effect=effect)
        yield compared.comparison(metric, always, effect, Method.SEQUENTIAL)
        yield compared.comparison(metric, once, effect, Method.FIXED_HORIZON)


def _quantile_rows(
    metric: Metric, names: CanaryNames, sketches: Mapping[Role, SourceSketches]
) -> Iterator[ResultRow]:
    """Quantiles of each variant's requests as they came; over a ramp the two are not to be compared."""
    for role, variant in ((Role.TREATMENT, names.treatment), (Role.CONTROL, names.control)):
        subject, sketch = Subject(metric.key, variant), sketches[role].of(metric.source)
        value = sketch if isinstance(sketch, Insufficient) else sketch.merged.quantile(metric.quantile or 0.5)
        if isinstance(sketch, Insufficient) or isinstance(value, Insufficient):
            reason = value.reason if isinstance(value, Insufficient) else "there are no values"
            yield subject.without("quantile", SEQUENTIAL, reason, always_valid=True)
            continue
        yield subject.figure("quantile", SEQUENTIAL, value, n=sketch.n, always_valid=True)


def _exact_difference(counts: CountTable, names: CanaryNames) -> ResultRow:
    """The difference of error rates over first requests, exactly."""
    subject = Subject("error_rate", names.treatment, names.control)
    columns = compared_first_requests(counts)
    point = columns if isinstance(columns, Insufficient) else difference_estimate(columns)
    found = error_rate_difference(counts, alpha=ALPHA)
    if isinstance(found, Insufficient) or isinstance(point, Insufficient):
        reason = found.reason if isinstance(found, Insufficient) else "there is no request yet"
        return subject.without("absolute_difference", EXACT, reason, always_valid=True)
    return subject.figure(
        "absolute_difference",
        EXACT,
        # After a change of share the unbiased estimate may lie outside of what is still possible.
        min(max(point, found.lower), found.upper),
        n=int(counts.sums(counts.compared)[Count.FIRST_REQUESTS]),
        always_valid=True,
        limits=(found.lower, found.upper, found.level),
    )


def _evidence_rows(evaluation: Evaluation, names: CanaryNames) -> Iterator[ResultRow]:
    """The e-values the canary is decided by: worse (guardrails), and not worse (promotion)."""
    tests = [(verdict, verdict.metric, "e_value_worse") for verdict in evaluation.situation.guardrails]
    tests.append((evaluation.situation.promotion, "error_rate", "e_value_not_worse"))
    for verdict, metric, statistic in tests:
        subject, figures = Subject(metric, names.treatment, names.control), verdict.figures
        if "e_value" not in figures:
            if verdict.verdict == "no_data":
                yield subject.without(statistic, EXACT, verdict.sentence, always_valid=True)
            continue
        yield subject.figure(
            statistic,
            EXACT,
            figures["e_value"],
            n=figures.get("treatment_requests", 0) + figures.get("control_requests", 0),
            always_valid=True,
            p_value=figures.get("p_value"),
        )


def _sample_ratio_rows(counts: CountTable, names: CanaryNames) -> Iterator[ResultRow]:
    """Each variant's part of the units, and whether it can be what it was assigned, step by step."""
    shown = counts.only(counts.compared)
    splits = []
    for share_bp in np.unique(shown[Count.SHARE_BP]).tolist():
        at_share, w = shown[Count.SHARE_BP] == share_bp, share_bp / BASIS_POINTS
        units = [
            int(shown.sums(at_share & shown.of_role(role))[Count.FIRST_REQUESTS])
            for role in (Role.CONTROL, Role.TREATMENT)
        ]
        splits.append(SplitCounts((1.0 - w, w), (units[0], units[1])))
    ratio = sample_ratio(splits)
    for place, variant in enumerate((names.control, names.treatment)):
        subject, units_of_it = Subject(UNITS, variant), sum(split.units[place] for split in splits)
        if isinstance(ratio, Insufficient):
            yield subject.without("sample_ratio", EXACT, ratio.reason, always_valid=True, n=units_of_it)
            continue
        total = sum(sum(split.units) for split in splits)
        yield subject.figure(
            "sample_ratio",
            EXACT,
            units_of_it / total,
            n=units_of_it,
            always_valid=True,
            p_value=ratio.p_value,
        )
