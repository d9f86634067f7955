"""Results in long form: a row for each statistic of a metric, segment and variant.

The same rows are what analysts query, the api serves and the history keeps. A row without enough evidence
has no numbers and says why. ``always_valid`` says whether the row may be looked at at any time, or only
once, at an end fixed beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from analytics.bayesian import Posterior
from analytics.comparison import Comparison, Method
from analytics.estimates import Effect, Estimate
from analytics.results import Insufficient
from analytics.wilson import limits_of_share
from services.domain.bucket_table import WHOLE
from services.domain.metric import Metric

SEQUENTIAL = Method.SEQUENTIAL.value
FIXED_HORIZON = Method.FIXED_HORIZON.value
BAYESIAN = "bayesian"
EXACT = "exact_sequential"
WITH_COVARIATE = "_cuped"
"""The end of a method's name where a covariate reduced the variance."""
UNITS = ""
"""The metric of rows that are about the experiment as a whole: its units."""


class ResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """One statistic. ``segment`` '' is everything; ``comparison_to`` '' where it is of one variant."""

    metric: str
    segment: str = WHOLE
    statistic: str
    variant: str
    comparison_to: str = ""
    method: str
    level: float | None = None
    point: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    n: int = 0
    always_valid: bool = False
    exploratory: bool = False
    insufficient: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a row is about."""

    metric: str
    variant: str
    comparison_to: str = ""
    segment: str = WHOLE

    @property
    def exploratory(self) -> bool:
        """Results by segment are: nobody planned which would differ."""
        return self.segment != WHOLE

    def without(
        self, statistic: str, method: str, reason: str, *, always_valid: bool, n: int = 0
    ) -> ResultRow:
        """Return the row of a statistic that there is not enough evidence for."""
        return ResultRow(
            metric=self.metric,
            segment=self.segment,
            statistic=statistic,
            variant=self.variant,
            comparison_to=self.comparison_to,
            method=method,
            n=n,
            always_valid=always_valid,
            exploratory=self.exploratory,
            insufficient=reason,
        )

    def figure(
        self,
        statistic: str,
        method: str,
        point: float,
        *,
        n: float,
        always_valid: bool,
        limits: tuple[float, float, float] | None = None,
        p_value: float | None = None,
        adjusted_p_value: float | None = None,
    ) -> ResultRow:
        """Return the row of a number; ``limits`` are (lower, upper, level)."""
        lower, upper, level = limits or (None, None, None)
        return ResultRow(
            metric=self.metric,
            segment=self.segment,
            statistic=statistic,
            variant=self.variant,
            comparison_to=self.comparison_to,
            method=method,
            level=level,
            point=point,
            lower=lower,
            upper=upper,
            p_value=p_value,
            adjusted_p_value=adjusted_p_value,
            n=round(n),
            always_valid=always_valid,
            exploratory=self.exploratory,
        )

    def mean(self, metric: Metric, estimate: Estimate, method: str, reach: float, alpha: float) -> ResultRow:
        """Return the row of a variant's mean, ``reach`` standard errors to either side.

        Values that were all the same so far do not show how much they vary: their mean has no interval. A
        share has one, as 0 of so many are not 0 of all.
        """
        return self.figure(
            "mean",
            method,
            estimate.mean,
            n=estimate.sample_size,
            always_valid=method == SEQUENTIAL,
            limits=_limits_of_mean(metric, estimate, reach, alpha),
        )

    def comparison(
        self,
        metric: Metric,
        found: Comparison | Insufficient,
        effect: Effect,
        method: Method,
        *,
        adjusted_p_value: float | None = None,
        suffix: str = "",
    ) -> ResultRow:
        """Return the row of a difference, or of why there is none."""
        statistic, always_valid = f"{effect.value}_difference", method is Method.SEQUENTIAL
        if isinstance(found, Insufficient):
            return self.without(statistic, method.value + suffix, found.reason, always_valid=always_valid)
        return self.figure(
            statistic,
            method.value + suffix,
            found.point,
            n=found.sample_size,
            always_valid=always_valid,
            limits=(*_possible(metric, effect, found.lower, found.upper), found.level),
            p_value=found.p_value,
            adjusted_p_value=adjusted_p_value,
        )

    def posterior(self, found: Posterior | Insufficient) -> list[ResultRow]:
        """Return what is believed of a difference, how sure it is better, and what a mistake would cost."""
        statistics = ("absolute_difference", "chance_to_beat_control", "expected_loss")
        if isinstance(found, Insufficient):
            return [
                self.without(statistic, BAYESIAN, found.reason, always_valid=False)
                for statistic in statistics
            ]
        limits = (found.lower, found.upper, found.level)
        difference, chance, loss = statistics
        n = found.sample_size
        return [
            self.figure(difference, BAYESIAN, found.point, n=n, always_valid=False, limits=limits),
            self.figure(chance, BAYESIAN, found.chance_to_beat_control, n=n, always_valid=False),
            self.figure(loss, BAYESIAN, found.loss_of_treatment, n=n, always_valid=False),
        ]


def _limits_of_mean(
    metric: Metric, estimate: Estimate, reach: float, alpha: float
) -> tuple[float, float, float] | None:
    if metric.kind == "proportion":
        return (*limits_of_share(estimate, reach), 1.0 - alpha)
    if estimate.variance == 0.0:
        return None
    width = reach * estimate.standard_error
    return estimate.mean - width, estimate.mean + width, 1.0 - alpha


def _possible(metric: Metric, effect: Effect, lower: float, upper: float) -> tuple[float, float]:
    """Cut off what no difference can be: shares lie in [0, 1], and nothing positive falls below 0."""
    if effect is Effect.RELATIVE:
        return (max(lower, -1.0) if metric.is_never_negative else lower), upper
    return (max(lower, -1.0), min(upper, 1.0)) if metric.kind == "proportion" else (lower, upper)
