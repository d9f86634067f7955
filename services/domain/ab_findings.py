"""What always-valid evidence says of each metric of each treatment, against the control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analytics.corrections import benjamini_hochberg, holm
from analytics.estimates import Estimate
from analytics.quantiles import QuantileDifference, quantile_difference
from analytics.results import Insufficient
from analytics.sequential import sequential
from services.domain.bucket_table import BucketTable
from services.domain.metric import Metric
from services.domain.metric_sums import MetricSums, adjusted_estimates, comparable, estimate, metric_sums
from services.domain.sketches import SourceSketches

SMALLEST_P = 1e-12
"""The smallest p-value that is looked for where there is no formula for it."""


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """One metric in every variant, in order.

    ``estimates`` are shown; ``comparable`` are those of them that bear a comparison. ``adjusted`` is after a
    covariate, where there is one.
    """

    metric: Metric
    sums: tuple[MetricSums | Insufficient, ...]
    estimates: tuple[Estimate | Insufficient, ...]
    comparable: tuple[Estimate | Insufficient, ...]
    adjusted: tuple[Estimate | Insufficient, ...] | Insufficient
    sketches: tuple[SourceSketches, ...]

    @property
    def deciding(self) -> tuple[Estimate | Insufficient, ...]:
        """The estimates that decide: with a covariate, those after it."""
        return self.comparable if isinstance(self.adjusted, Insufficient) else self.adjusted


@dataclass(frozen=True, slots=True)
class Finding:
    """The effect of a treatment on a metric, valid whenever one looks.

    ``gain`` is the effect in the direction that is better, ``n`` the samples of both variants.
    """

    metric: Metric
    treatment: int
    point: float
    lower: float
    upper: float
    p_value: float
    n: float

    @property
    def gain(self) -> float:
        """By how much the treatment is better; negative where it is worse."""
        return self.point if self.metric.better == "higher" else -self.point


def measure(
    metric: Metric,
    buckets: Sequence[BucketTable],
    sketches: Sequence[SourceSketches],
    *,
    has_covariate: bool = False,
) -> Measured:
    """Measure a metric in every variant."""
    unadjusted = Insufficient("the test has no covariate")
    if metric.kind == "quantile":
        nothing = Insufficient("a quantile is read from sketches")
        every = (nothing,) * len(buckets)
        return Measured(metric, every, every, every, unadjusted, tuple(sketches))
    sums = tuple(metric_sums(metric, table) for table in buckets)
    estimates = tuple(map(estimate, sums))
    adjusted = adjusted_estimates(sums) if has_covariate else unadjusted
    if not isinstance(adjusted, Insufficient):
        adjusted = comparable(metric, sums, adjusted)
    return Measured(metric, sums, estimates, comparable(metric, sums, estimates), adjusted, tuple(sketches))


def find(measured: Measured, treatment: int, *, alpha: float) -> Finding | Insufficient:
    """Compare a treatment to the control."""
    metric = measured.metric
    if metric.kind == "quantile":
        return _find_quantile(measured, treatment, alpha)
    found = sequential(measured.deciding[treatment], measured.deciding[0], alpha=alpha)
    if isinstance(found, Insufficient):
        return found
    return Finding(metric, treatment, found.point, found.lower, found.upper, found.p_value, found.sample_size)


def adjust(findings: Sequence[Finding | Insufficient], *, by_holm: bool) -> tuple[float | None, ...]:
    """Return the p-values of findings read together; every one planned counts, with a result or without."""
    correct = holm if by_holm else benjamini_hochberg
    known = [one.p_value for one in findings if isinstance(one, Finding)]
    adjusted = iter(correct(known, planned=len(findings)))
    return tuple(next(adjusted) if isinstance(one, Finding) else None for one in findings)


def _find_quantile(measured: Measured, treatment: int, alpha: float) -> Finding | Insufficient:
    found = quantiles(measured, treatment, alpha=alpha)
    if isinstance(found, Insufficient):
        return found
    p_value = _p_of_quantile(measured, treatment)
    interval = found.interval
    return Finding(
        measured.metric,
        treatment,
        found.point,
        interval.lower,
        interval.upper,
        p_value,
        found.sample_size,
    )


def quantiles(measured: Measured, treatment: int, *, alpha: float) -> QuantileDifference | Insufficient:
    """Compare a quantile of the treatment to the control's."""
    metric = measured.metric
    of_treatment = measured.sketches[treatment].of(metric.source)
    of_control = measured.sketches[0].of(metric.source)
    if isinstance(of_treatment, Insufficient):
        return Insufficient(f"treatment: {of_treatment.reason}")
    if isinstance(of_control, Insufficient):
        return Insufficient(f"control: {of_control.reason}")
    return quantile_difference(of_treatment, of_control, metric.quantile or 0.5, alpha=alpha)


def _p_of_quantile(measured: Measured, treatment: int) -> float:
    """The smallest level at which 0 lies outside the interval, rounded up by at most a tenth.

    Too few values for a narrow level's interval count as an interval that holds 0.
    """

    def excludes_zero(log_alpha: float) -> bool:
        found = quantiles(measured, treatment, alpha=math.exp(log_alpha))
        return not isinstance(found, Insufficient) and 0.0 not in found.interval

    low, high = math.log(SMALLEST_P), math.log(0.999)
    if not excludes_zero(high):
        return 1.0
    while high - low > 0.1:
        middle = (low + high) / 2.0
        low, high = (low, middle) if excludes_zero(middle) else (middle, high)
    return math.exp(high)
