"""An estimated mean of one variant, and the contrast of two: what every kind of comparison starts from.

Whether a mean was taken over independent samples (`analytics.means`, `analytics.proportions`) or over
buckets of correlated requests (`analytics.buckets`), it comes as an `Estimate`. Fixed horizon, sequential
and Bayesian comparisons take any two of them.

With means m_t, m_c and their variances V_t, V_c (treatment's and control's):

    absolute: Δ = m_t − m_c,          V = V_t + V_c
    relative: Δ = (m_t − m_c)/|m_c|,  V = V_t/m_c² + V_c·m_t²/m_c⁴   (delta method)

and the degrees of freedom of V are those of Welch and Satterthwaite,
(V_t + V_c)²/(V_t²/d_t + V_c²/d_c) (Welch 1947, doi:10.1093/biomet/34.1-2.28). They are taken on the
absolute scale for both: where the means are equal, the two agree.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from analytics.results import Insufficient

SMALLEST_RELATIVE_REFERENCE = 2.0
"""Standard errors that a control's mean must lie away from 0 before anything is divided by it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and how exactly it is known.

    Attributes:
        mean: the estimated mean, in the metric's own unit.
        variance: the estimated variance of `mean` (a squared standard error), ≥ 0.
        sample_size: how many samples it comes from; a confidence sequence uses it as its clock.
        degrees: degrees of freedom of `variance`, > 0.
        reference: the mean before any adjustment, by which relative effects are divided; None when
            nothing was adjusted and `mean` itself is meant.
    """

    mean: float
    variance: float
    sample_size: float
    degrees: float
    reference: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0.0 <= self.variance < math.inf):
            raise ValueError(f"an estimate is finite, not {self.mean} with variance {self.variance}")
        if not (self.sample_size > 0.0 and self.degrees > 0.0):
            raise ValueError(
                f"an estimate has samples and degrees of freedom, not {self.sample_size} and {self.degrees}"
            )

    @property
    def unadjusted_mean(self) -> float:
        """The mean that relative effects are relative to."""
        return self.mean if self.reference is None else self.reference

    @property
    def standard_error(self) -> float:
        """The square root of the variance."""
        return math.sqrt(self.variance)


class Effect(StrEnum):
    """On which scale two variants are compared."""

    ABSOLUTE = "absolute"
    """The treatment's mean minus the control's, in the metric's unit."""
    RELATIVE = "relative"
    """The same as a fraction of the absolute value of the control's mean."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """The treatment minus the control, before any question is asked of it.

    Attributes:
        point: the estimated effect Δ.
        variance: the estimated variance V of `point`, > 0.
        sample_size: samples of both variants together.
        degrees: Welch's degrees of freedom of the variance.
        effect: the scale of `point`.
    """

    point: float
    variance: float
    sample_size: float
    degrees: float
    effect: Effect

    @property
    def standard_error(self) -> float:
        """√V."""
        return math.sqrt(self.variance)

    @property
    def z(self) -> float:
        """The effect in standard errors, Δ/√V."""
        return self.point / self.standard_error


def contrast(
    treatment: Estimate | Insufficient,
    control: Estimate | Insufficient,
    effect: Effect = Effect.ABSOLUTE,
) -> Contrast | Insufficient:
    """Set the treatment against the control; what was insufficient before stays so.

    Returns:
        The contrast, or `Insufficient` when either estimate is missing, when either does not vary at all
        (a variance of 0 is one that has not been seen yet), or when a relative effect would be divided
        by a mean that is not clearly different from 0.
    """
    treatment, control = _varying("treatment", treatment), _varying("control", control)
    if isinstance(treatment, Insufficient):
        return treatment
    if isinstance(control, Insufficient):
        return control
    total = treatment.variance + control.variance
    degrees = total**2 / (treatment.variance**2 / treatment.degrees + control.variance**2 / control.degrees)
    sample_size = treatment.sample_size + control.sample_size
    difference = treatment.mean - control.mean
    if effect is Effect.ABSOLUTE:
        return Contrast(difference, total, sample_size, degrees, effect)
    reference = control.unadjusted_mean
    if abs(reference) < SMALLEST_RELATIVE_REFERENCE * control.standard_error or reference == 0.0:
        return Insufficient("the control's mean is too close to 0 to express the effect as a part of it")
    ratio = treatment.unadjusted_mean / reference
    variance = (treatment.variance + control.variance * ratio**2) / reference**2
    return Contrast(difference / abs(reference), variance, sample_size, degrees, effect)


def _varying(name: str, estimate: Estimate | Insufficient) -> Estimate | Insufficient:
    if isinstance(estimate, Insufficient):
        return Insufficient(f"{name}: {estimate.reason}")
    if estimate.variance == 0.0:
        return Insufficient(f"{name}: no two samples differ, so nothing is known of how much they vary")
    return estimate
