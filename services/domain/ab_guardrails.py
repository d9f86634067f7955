"""The guardrails of an A/B test: evidence that a treatment is worse, valid whenever one looks.

Failures of requests are tested exactly, on each unit's first. Everything else is tested by the cluster-robust
one-sided confidence sequence over all requests or units.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from analytics.buckets import too_few_buckets
from analytics.columns import Columns
from analytics.eprocess import PathMemory
from analytics.evidence import Evidence, rollback_evidence
from analytics.results import Insufficient
from analytics.sequential import begun_contrast, log_one_sided_p, one_sided_boundary
from analytics.slower import MINIMUM_BUCKETS
from services.domain.ab_findings import Measured
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_test import TestGuardrail
from services.domain.canary_tests import DOUBT
from services.domain.counts import Count, Integers, event_columns, first_content_filters, first_errors
from services.domain.metric import Metric
from services.domain.policy import Verdict, VerdictName

FirstEvents = Mapping[tuple[str, int], Columns | Insufficient]
"""First events of a treatment and the control, by metric and treatment."""

_FIRST_EVENTS = {"error": first_errors, "content_filter": first_content_filters}


def has_exact_test(metric: Metric) -> bool:
    """Say whether the metric is a share of requests whose first events are counted by minute."""
    return metric.kind == "proportion" and metric.per == "request" and metric.source in _FIRST_EVENTS


def first_events(inputs: ABTestInputs) -> FirstEvents:
    """Gather the first events of each treatment and the control, of every metric with an exact test."""
    metrics = filter(has_exact_test, inputs.definition.metrics)
    return {
        (metric.key, treatment): _pairwise_events(metric, treatment, inputs)
        for metric, treatment in itertools.product(metrics, inputs.treatments)
    }


def _pairwise_events(metric: Metric, treatment: int, inputs: ABTestInputs) -> Columns | Insufficient:
    """Gather first events of a treatment and the control, at the treatment's share of the two."""
    counts = inputs.counts
    pair = counts.only(counts.of_variant(treatment) | counts.of_variant(0))
    shares = np.full(len(pair), inputs.pairwise_share(treatment))
    return event_columns(pair, shares, *_FIRST_EVENTS[metric.source](pair))


def guardrail_verdict(
    guardrail: TestGuardrail,
    measured: Measured,
    treatment: int,
    inputs: ABTestInputs,
    totals: Sequence[Integers],
    events: FirstEvents,
    *,
    alpha: float,
    memory: PathMemory | None = None,
) -> Verdict:
    """Judge one guardrail of one treatment; ``alpha`` is its own part of the error budget."""
    variant = inputs.variants[treatment]
    if not totals[treatment][Count.REQUESTS]:
        reason = f"{guardrail.metric}: no request of {variant} is counted yet"
        return Verdict(guardrail.metric, "no_data", reason, variant=variant)
    if has_exact_test(measured.metric):
        evidence = _exact_evidence(guardrail, events[guardrail.metric, treatment], inputs, alpha, memory)
        units = [int(totals[index][Count.FIRST_REQUESTS]) for index in (treatment, 0)]
        return _exact_verdict(guardrail.metric, variant, evidence, units)
    return _robust_verdict(guardrail, measured, treatment, variant, alpha)


def _exact_evidence(
    guardrail: TestGuardrail,
    columns: Columns | Insufficient,
    inputs: ABTestInputs,
    alpha: float,
    memory: PathMemory | None,
) -> Evidence | Insufficient:
    if isinstance(columns, Insufficient):
        return columns
    return rollback_evidence(
        columns,
        first_tick=inputs.first_tick,
        planned_ticks=inputs.definition.planned_duration_minutes,
        alpha=alpha,
        margin=guardrail.margin,
        memory=memory,
    )


def _exact_verdict(
    metric: str, variant: str, evidence: Evidence | Insufficient, units: Sequence[int]
) -> Verdict:
    """``units`` of the treatment and the control, which the events are so many of."""
    if isinstance(evidence, Insufficient):
        return Verdict(metric, "no_data", f"{metric} of {variant}: {evidence.reason}", variant=variant)
    figures: dict[str, float] = {
        "e_value": evidence.e_value,
        "log_e_value": evidence.log_e_value,
        "threshold": evidence.threshold,
        "p_value": evidence.p_value,
        "tested_treatment_events": evidence.treatment_errors,
        "tested_control_events": evidence.control_errors,
        "tested_others": evidence.others,
    }
    verdict, finding = _worse(evidence.crossed, in_doubt=evidence.e_value >= DOUBT)
    strength = f"e = {evidence.e_value:.3g}, decides at {evidence.threshold:.3g}"
    of_treatment, of_control = (
        f"{events:,} of {of:,}"
        for events, of in zip((evidence.treatment_errors, evidence.control_errors), units, strict=True)
    )
    events = f"{of_treatment} units had one, against {of_control} of the control's"
    return Verdict(
        metric, verdict, f"{metric} of {variant} {finding}: {events}; {strength}", figures, variant
    )


def _robust_verdict(
    guardrail: TestGuardrail, measured: Measured, treatment: int, variant: str, alpha: float
) -> Verdict:
    metric = measured.metric
    for index in (treatment, 0):
        sums = measured.sums[index]
        few = sums if isinstance(sums, Insufficient) else too_few_buckets(sums.sums, MINIMUM_BUCKETS)
        if few is not None:
            return Verdict(metric.key, "no_data", f"{metric.key} of {variant}: {few.reason}", variant=variant)
    found = begun_contrast(measured.comparable[treatment], measured.comparable[0])
    if isinstance(found, Insufficient):
        reason = f"{metric.key} of {variant}: {found.reason}"
        return Verdict(metric.key, "no_data", reason, variant=variant)
    harm = found.point if metric.better == "lower" else -found.point
    least = harm - one_sided_boundary(found.sample_size, alpha) * found.standard_error
    z = (harm - guardrail.margin) / found.standard_error
    log_p = log_one_sided_p(z, found.sample_size, alpha)
    figures = {
        "difference": found.point,
        "least_harm": least,
        "margin": guardrail.margin,
        "log_p_value": log_p,
        "alpha": alpha,
        "n": found.sample_size,
    }
    verdict, finding = _worse(least > guardrail.margin, in_doubt=log_p <= -math.log(DOUBT))
    sentence = (
        f"{metric.key} of {variant} {finding}: {found.point:+.4g} {metric.unit} against the control, "
        f"worse by at least {least:.4g}, accepted up to {guardrail.margin:.4g}"
    )
    return Verdict(metric.key, verdict, sentence, figures, variant)


def _worse(is_worse: bool, *, in_doubt: bool) -> tuple[VerdictName, str]:
    if is_worse:
        return "fail", "is worse"
    return ("inconclusive", "looks worse") if in_doubt else ("pass", "is not shown to be worse")
