"""The results of an A/B test in long form: every metric, every treatment, over everything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

from scipy.special import stdtrit

from analytics.bayesian import bayesian
from analytics.comparison import Method, fixed_horizon
from analytics.estimates import Contrast, Effect, Estimate
from analytics.power import ToDecide, samples_to_decide
from analytics.results import Insufficient
from analytics.sequential import begun_contrast, boundary, mixture_precision, sequential
from analytics.two_sided import log_uniform_mixture, two_sided_evidence
from services.domain.ab_corrections import corrected_rows
from services.domain.ab_evaluation import ABTestEvaluation
from services.domain.ab_findings import Measured, quantiles
from services.domain.ab_guardrails import has_exact_test
from services.domain.ab_inputs import ABTestInputs
from services.domain.results import (
    EXACT,
    FIXED_HORIZON,
    SEQUENTIAL,
    UNITS,
    WITH_COVARIATE,
    ResultRow,
    Subject,
)

LARGEST_LOG = 700.0
"""E-values are shown up to exp(700), so that they stay finite numbers."""

AdjustedP = Mapping[tuple[str, int], float]
"""Corrected p-values by metric and treatment."""


def result_rows(evaluation: ABTestEvaluation) -> list[ResultRow]:
    """Return every result over everything; those by segment are ``segment_rows``."""
    adjusted = {
        (one.metric, one.treatment): one.adjusted_p
        for one in (*evaluation.goals, *evaluation.secondary)
        if one.adjusted_p is not None
    }
    rows = list(sample_ratio_rows(evaluation))
    for measured in evaluation.measured.values():
        if measured.metric.kind == "quantile":
            rows += quantile_rows(measured, evaluation.inputs, adjusted)
            continue
        rows += mean_rows(measured, evaluation.inputs)
        for treatment in evaluation.inputs.treatments:
            rows += _difference_rows(measured, treatment, evaluation, adjusted)
    return corrected_rows(rows, evaluation.inputs)


def mean_rows(measured: Measured, inputs: ABTestInputs) -> Iterator[ResultRow]:
    """Return each variant's mean, with an interval for looking always and one for looking once."""
    alpha = inputs.definition.alpha
    for variant, estimate in zip(inputs.variants, measured.estimates, strict=True):
        subject = Subject(measured.metric.key, variant)
        if isinstance(estimate, Insufficient):
            yield subject.without("mean", SEQUENTIAL, estimate.reason, always_valid=True)
            yield subject.without("mean", FIXED_HORIZON, estimate.reason, always_valid=False)
            continue
        yield subject.mean(
            measured.metric, estimate, SEQUENTIAL, boundary(estimate.sample_size, alpha), alpha
        )
        yield subject.mean(measured.metric, estimate, FIXED_HORIZON, students_reach(estimate, alpha), alpha)


def students_reach(estimate: Estimate, alpha: float) -> float:
    """How many standard errors the interval of a mean reaches, looked at once."""
    return _students_quantile(estimate.degrees, alpha)


@lru_cache(maxsize=4096)
def _students_quantile(degrees: float, alpha: float) -> float:
    return float(stdtrit(degrees, 1.0 - alpha / 2.0))


def _difference_rows(
    measured: Measured, treatment: int, evaluation: ABTestEvaluation, adjusted: AdjustedP
) -> Iterator[ResultRow]:
    inputs, metric = evaluation.inputs, measured.metric
    alpha = inputs.definition.alpha
    subject = Subject(metric.key, inputs.variants[treatment], inputs.variants[0])
    pair = measured.comparable[treatment], measured.comparable[0]
    p_value = adjusted.get((metric.key, treatment))
    plain_p = p_value if isinstance(measured.adjusted, Insufficient) else None
    for effect in Effect:
        once = fixed_horizon(*pair, alpha=alpha, effect=effect)
        always = sequential(*pair, alpha=alpha, effect=effect)
        decides = plain_p if effect is Effect.ABSOLUTE else None
        yield subject.comparison(metric, always, effect, Method.SEQUENTIAL, adjusted_p_value=decides)
        yield subject.comparison(metric, once, effect, Method.FIXED_HORIZON)
    if not isinstance(measured.adjusted, Insufficient):
        after = measured.adjusted[treatment], measured.adjusted[0]
        yield subject.comparison(
            metric,
            sequential(*after, alpha=alpha),
            Effect.ABSOLUTE,
            Method.SEQUENTIAL,
            adjusted_p_value=p_value,
            suffix=WITH_COVARIATE,
        )
        once = fixed_horizon(*after, alpha=alpha)
        yield subject.comparison(metric, once, Effect.ABSOLUTE, Method.FIXED_HORIZON, suffix=WITH_COVARIATE)
    yield from subject.posterior(bayesian(*pair, alpha=alpha, lower_is_better=metric.better == "lower"))
    yield from _e_value_rows(subject, measured, treatment, evaluation)
    yield from _still_needed_rows(subject, measured, treatment, evaluation, adjusted)


def _e_value_rows(
    subject: Subject, measured: Measured, treatment: int, evaluation: ABTestEvaluation
) -> Iterator[ResultRow]:
    """The exact evidence that two shares differ at all, beside the normal approximation."""
    inputs = evaluation.inputs
    sums = measured.sums[treatment], measured.sums[0]
    if has_exact_test(measured.metric):
        columns = evaluation.first_events[measured.metric.key, treatment]
        found = (
            columns
            if isinstance(columns, Insufficient)
            else two_sided_evidence(columns, alpha=inputs.definition.alpha)
        )
        if isinstance(found, Insufficient):
            yield subject.without("e_value", EXACT, found.reason, always_valid=True)
            return
        yield subject.figure(
            "e_value", EXACT, found.e_value, n=found.observations, always_valid=True, p_value=found.p_value
        )
    elif not any(isinstance(one, Insufficient) or one.events is None for one in sums):
        yield _units_e_value(subject, measured, treatment, inputs)


def _units_e_value(subject: Subject, measured: Measured, treatment: int, inputs: ABTestInputs) -> ResultRow:
    """Units with the event, whose share of all such units is the weights' where nothing differs."""
    of_treatment, of_control = measured.sums[treatment], measured.sums[0]
    if isinstance(of_treatment, Insufficient) or isinstance(of_control, Insufficient):
        return subject.without("e_value", EXACT, "no units are counted yet", always_valid=True)
    events = of_treatment.events or 0, of_control.events or 0
    units = of_treatment.clock + of_control.clock
    if not sum(events):
        reason = f"no event among {units:.0f} units: shares without events cannot be compared"
        return subject.without("e_value", EXACT, reason, always_valid=True, n=round(units))
    log_e = log_uniform_mixture(*events, share=inputs.pairwise_share(treatment))
    e_value, p_value = math.exp(min(log_e, LARGEST_LOG)), math.exp(-min(max(log_e, 0.0), LARGEST_LOG))
    return subject.figure("e_value", EXACT, e_value, n=units, always_valid=True, p_value=p_value)


def _still_needed_rows(
    subject: Subject, measured: Measured, treatment: int, evaluation: ABTestEvaluation, adjusted: AdjustedP
) -> Iterator[ResultRow]:
    """Units of both variants, and minutes from now, if the effect stays what it is estimated to be.

    A unit is taken to give as many samples from now on as it did so far.
    """
    inputs = evaluation.inputs
    pair = measured.deciding[treatment], measured.deciding[0]
    # Nothing is foretold before the first look, at which the sequence begins.
    found = begun_contrast(*pair)
    needed = found if isinstance(found, Insufficient) else _to_decide(found, subject, evaluation, adjusted)
    units = evaluation.units[treatment] + evaluation.units[0]
    if isinstance(needed, Insufficient) or isinstance(found, Insufficient):
        reason = needed.reason if isinstance(needed, Insufficient) else "there is no result"
        for statistic in ("units_needed", "minutes_needed"):
            yield subject.without(statistic, SEQUENTIAL, reason, always_valid=True, n=units)
        return
    times = needed.needed / found.sample_size
    total, minutes = float(math.ceil(units * times)), inputs.minutes_running * (times - 1.0)
    yield subject.figure("units_needed", SEQUENTIAL, total, n=units, always_valid=True)
    yield subject.figure("minutes_needed", SEQUENTIAL, minutes, n=units, always_valid=True)


def _to_decide(
    found: Contrast, subject: Subject, evaluation: ABTestEvaluation, adjusted: AdjustedP
) -> ToDecide | Insufficient:
    """Samples until the p-value is small enough whatever those do that are corrected with it."""
    alpha, variants = evaluation.inputs.definition.alpha, evaluation.inputs.variants
    p_value = adjusted.get((subject.metric, variants.index(subject.variant)))
    if p_value is not None and p_value <= alpha:
        return ToDecide(found.sample_size, 0.0)
    families = evaluation.goals, evaluation.secondary
    tests = next((len(ones) for ones in families if subject.metric in {one.metric for one in ones}), 1)
    each = alpha / tests
    # The p-value that is corrected is of the mixture for α, whatever it is compared with.
    tuned_for = mixture_precision(each, 1.0) / mixture_precision(alpha)
    return samples_to_decide(found, alpha=each, tuned_for=tuned_for)


def quantile_rows(
    measured: Measured, inputs: ABTestInputs, adjusted: AdjustedP, segment: str = ""
) -> Iterator[ResultRow]:
    """Return a quantile of each variant, and the differences."""
    metric = measured.metric
    for variant, sketches in zip(inputs.variants, measured.sketches, strict=True):
        subject, sketch = Subject(metric.key, variant, "", segment), sketches.of(metric.source)
        if isinstance(sketch, Insufficient):
            yield subject.without("quantile", SEQUENTIAL, sketch.reason, always_valid=True)
            continue
        value = sketch.merged.quantile(metric.quantile or 0.5)
        if isinstance(value, Insufficient):
            yield subject.without("quantile", SEQUENTIAL, value.reason, always_valid=True)
            continue
        yield subject.figure("quantile", SEQUENTIAL, value, n=sketch.n, always_valid=True)
    for treatment in inputs.treatments:
        subject = Subject(metric.key, inputs.variants[treatment], inputs.variants[0], segment)
        found = quantiles(measured, treatment, alpha=inputs.definition.alpha)
        if isinstance(found, Insufficient):
            yield subject.without("absolute_difference", SEQUENTIAL, found.reason, always_valid=True)
            continue
        interval = found.interval
        yield subject.figure(
            "absolute_difference",
            SEQUENTIAL,
            found.point,
            n=found.sample_size,
            always_valid=True,
            limits=(interval.lower, interval.upper, interval.level),
            adjusted_p_value=adjusted.get((metric.key, treatment)),
        )


def sample_ratio_rows(evaluation: ABTestEvaluation) -> Iterator[ResultRow]:
    """Return each variant's part of the units, and whether it can be what it was assigned."""
    ratio, inputs = evaluation.ratio, evaluation.inputs
    total = sum(evaluation.units)
    for variant, units in zip(inputs.variants, evaluation.units, strict=True):
        subject = Subject(UNITS, variant)
        if isinstance(ratio, Insufficient):
            yield subject.without("sample_ratio", EXACT, ratio.reason, always_valid=True, n=units)
            continue
        yield subject.figure(
            "sample_ratio", EXACT, units / total, n=units, always_valid=True, p_value=ratio.p_value
        )
