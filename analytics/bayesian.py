"""How probable is it that the treatment is better, and what does the wrong choice cost?

The effect's posterior is normal: N(Δ, V) with a flat prior, and with a proper prior N(μ₀, τ²) the product
of both, 1/σ² = 1/V + 1/τ² and μ = σ²·(Δ/V + μ₀/τ²). From it

    chance to beat the control    Φ(μ/σ)
    loss of serving the treatment E max(−effect, 0) = σφ(μ/σ) − μΦ(−μ/σ)
    loss of serving the control   E max(effect, 0)  = σφ(μ/σ) + μΦ(μ/σ).

With a flat prior and repeated looks this finds a "better" treatment among equal ones far more often than
its probabilities seem to say; it is right for whoever believes the prior, whenever they look.

Source: Gelman et al. 2013, Bayesian Data Analysis, ch. 2.5; the losses are those of Raiffa & Schlaifer 1961.
"""

import math
from dataclasses import dataclass

from scipy.special import log_ndtr, ndtr, ndtri

from analytics.comparison import check_alpha
from analytics.estimates import Effect, Estimate, contrast
from analytics.results import Insufficient, Interval

_ROOT_OF_TWO_PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """What was believed of the effect before the data, on the scale of the comparison.

    Attributes:
        mean: μ₀.
        standard_deviation: τ > 0.
    """

    mean: float = 0.0
    standard_deviation: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0.0 < self.standard_deviation < math.inf):
            raise ValueError(f"a proper prior has a finite mean and a positive deviation, not {self}")


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of the effect after the data.

    Attributes:
        point: the posterior mean μ.
        lower: the lower limit of the central credible interval at `level`.
        upper: the upper limit.
        standard_deviation: σ.
        chance_to_beat_control: the probability that the treatment is better; may round to 1.
        chance_of_being_worse: the rest, exact where the chance rounds to 1; kept above 1e-304.
        loss_of_treatment: the expected loss of serving the treatment, ≥ 0, on the scale of the effect.
        loss_of_control: the expected loss of serving the control, ≥ 0.
        level: the probability of the credible interval, in (0, 1).
        effect: the scale of point, limits and losses.
        sample_size: samples of both variants together.
    """

    point: float
    lower: float
    upper: float
    standard_deviation: float
    chance_to_beat_control: float
    chance_of_being_worse: float
    loss_of_treatment: float
    loss_of_control: float
    level: float
    effect: Effect
    sample_size: float

    @property
    def interval(self) -> Interval:
        """The limits with their level."""
        return Interval(self.lower, self.upper, self.level)


def bayesian(
    treatment: Estimate | Insufficient,
    control: Estimate | Insufficient,
    *,
    prior: NormalPrior | None = None,
    alpha: float = 0.05,
    effect: Effect = Effect.ABSOLUTE,
    lower_is_better: bool = False,
) -> Posterior | Insufficient:
    """The posterior of the effect.

    Args:
        treatment: the treatment's estimate.
        control: the control's estimate.
        prior: belief about the effect on the scale of `effect`; None for the flat prior.
        alpha: one minus the probability of the credible interval, in (0, 1).
        effect: absolute or relative to the control.
        lower_is_better: whether a treatment with the smaller mean is the better one, as for costs.

    Returns:
        The posterior, or `Insufficient` as in `analytics.estimates.contrast`.
    """
    check_alpha(alpha)
    found = contrast(treatment, control, effect)
    if isinstance(found, Insufficient):
        return found
    mean, variance = found.point, found.variance
    if prior is not None:
        precision = 1.0 / found.variance + prior.standard_deviation**-2
        mean = (found.point / found.variance + prior.mean * prior.standard_deviation**-2) / precision
        variance = 1.0 / precision
    deviation = math.sqrt(variance)
    width = -float(ndtri(alpha / 2.0)) * deviation
    gain = -mean if lower_is_better else mean
    return Posterior(
        point=mean,
        lower=mean - width,
        upper=mean + width,
        standard_deviation=deviation,
        chance_to_beat_control=_chance(gain / deviation),
        chance_of_being_worse=_chance(-gain / deviation),
        loss_of_treatment=expected_loss(gain, deviation),
        loss_of_control=expected_loss(-gain, deviation),
        level=1.0 - alpha,
        effect=effect,
        sample_size=found.sample_size,
    )


def expected_loss(mean: float, deviation: float) -> float:
    """E max(−X, 0) for a normal X: σφ(μ/σ) − μΦ(−μ/σ), never below 0.

    Args:
        mean: μ, what serving the treatment gains on average.
        deviation: σ > 0.
    """
    ratio = mean / deviation
    return max(0.0, deviation * math.exp(-0.5 * ratio * ratio) / _ROOT_OF_TWO_PI - mean * float(ndtr(-ratio)))


def _chance(ratio: float) -> float:
    return math.exp(max(float(log_ndtr(ratio)), -700.0))
