"""Treatment against control when the end of the experiment was fixed beforehand: Welch's t.

A result of this module is right if it is looked at once, at an end that does not depend on the data. For
results that may be looked at always see `analytics.sequential`.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import betaln, stdtr, stdtrit

from analytics.estimates import Contrast, Effect, Estimate, contrast
from analytics.results import Insufficient, Interval

_SMALLEST_LOG = -700.0  # exp(−700) = 1e−304: the nearest power before floats underflow


class Method(StrEnum):
    """How a comparison was made, which decides when it may be looked at."""

    FIXED_HORIZON = "fixed_horizon"
    """Once, at an end fixed beforehand."""
    SEQUENTIAL = "sequential"
    """At any time and as often as one likes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The effect of the treatment, how exactly it is known, and how surprising it would be without one.

    Attributes:
        point: the estimated effect.
        lower: the lower limit of the interval at `level`.
        upper: the upper limit.
        log_p_value: natural logarithm of the two-sided p-value, at most 0 and never −∞.
        level: the confidence 1 − α, in (0, 1).
        method: when this may be looked at.
        effect: the scale of point and limits.
        sample_size: samples of both variants together.
    """

    point: float
    lower: float
    upper: float
    log_p_value: float
    level: float
    method: Method
    effect: Effect
    sample_size: float

    @property
    def p_value(self) -> float:
        """The two-sided p-value, kept above 1e-304; `log_p_value` is exact below that."""
        return math.exp(max(self.log_p_value, _SMALLEST_LOG))

    @property
    def interval(self) -> Interval:
        """The limits with their level."""
        return Interval(self.lower, self.upper, self.level)

    @property
    def significant(self) -> bool:
        """Whether no effect at all lies outside the interval."""
        return self.lower > 0.0 or self.upper < 0.0


def fixed_horizon(
    treatment: Estimate | Insufficient,
    control: Estimate | Insufficient,
    *,
    alpha: float = 0.05,
    effect: Effect = Effect.ABSOLUTE,
) -> Comparison | Insufficient:
    """Welch's t test and interval: Δ ± t_{1−α/2}·√V with Welch's degrees of freedom.

    Args:
        treatment: the treatment's estimate.
        control: the control's estimate.
        alpha: one minus the confidence of the interval, in (0, 1).
        effect: absolute or relative to the control.

    Returns:
        The comparison, or `Insufficient` as in `analytics.estimates.contrast`.
    """
    check_alpha(alpha)
    found = contrast(treatment, control, effect)
    if isinstance(found, Insufficient):
        return found
    width = -float(stdtrit(found.degrees, alpha / 2.0)) * found.standard_error
    log_p = log_two_sided_t(found.z, found.degrees)
    return comparison_of(found, width, log_p, alpha, Method.FIXED_HORIZON)


def comparison_of(
    found: Contrast, width: float, log_p_value: float, alpha: float, method: Method
) -> Comparison:
    """A contrast with an interval of half-width `width` around it."""
    return Comparison(
        point=found.point,
        lower=found.point - width,
        upper=found.point + width,
        log_p_value=log_p_value,
        level=1.0 - alpha,
        method=method,
        effect=found.effect,
        sample_size=found.sample_size,
    )


def log_two_sided_t(statistic: float, degrees: float) -> float:
    """log P(|T| ≥ |t|) for Student's t, also where the probability itself is too small for a float.

    Far out P(|T| ≥ |t|) = I_x(d/2, 1/2) with x = d/(d+t²) is summed as
    x^a(1−x)^b/(a·B(a, b))·Σ_k Π_{j<k} (a+b+j)/(a+1+j)·x^k, whose terms fall faster than x^k
    (NIST Digital Library of Mathematical Functions, 8.17.8 with 15.2.1). With so many degrees of freedom
    that x is nearly 1, it is the density over its rate of decay, with the next two terms of Mills' ratio.

    Args:
        statistic: t.
        degrees: d > 0.
    """
    probability = 2.0 * float(stdtr(degrees, -abs(statistic)))
    if probability > 1e-290:
        return min(0.0, math.log(probability))
    log_x = -math.log1p(statistic**2 / degrees)
    if log_x > -1e-3:
        log_density = -0.5 * math.log(2.0 * math.pi) + (degrees + 1.0) / 2.0 * log_x
        decay = (degrees + 1.0) * abs(statistic) / (degrees + statistic**2)
        return math.log(2.0 / decay) + log_density + math.log1p(3.0 / statistic**4 - statistic**-2)
    a, b = degrees / 2.0, 0.5
    steps = np.arange(math.ceil(40.0 / -log_x))
    series = 1.0 + float(np.cumprod((a + b + steps) / (a + 1.0 + steps) * math.exp(log_x)).sum())
    log_front = a * log_x + b * math.log(-math.expm1(log_x)) - math.log(a) - float(betaln(a, b))
    return log_front + math.log(series)


def check_alpha(alpha: float) -> None:
    """Refuse what is no probability strictly between 0 and 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is a probability in (0, 1), not {alpha}")
