"""Treatment against control, to be looked at at any time and as often as one likes.

The asymptotic confidence sequence of a normal mixture. For an estimate Δ with variance V out of n samples

    ρ² = (−2 ln α + ln(1 − 2 ln α))/N*
    half-width = √V·√(2(nρ²+1)/(nρ²)·ln(√(nρ²+1)/α))
    p = min(1, √(nρ²+1)·exp(−ρ²z²n/(2(nρ²+1)))),  z = Δ/√V

holds for all n together with probability 1 − α as the first look moves out; it is tightest near n = N*.
The first look is taken when both variances have 30 degrees of freedom: with 5 % of the traffic in the
treatment and looks from the second bucket on, 8–16 % of equal variants were told apart at α = .05.
One-sided, with ρ² for 2α: upper limit = Δ + √V·√(2(nρ²+1)/(nρ²)·ln(1 + √(nρ²+1)/(2α))).

**Relative effects.** By the delta method a treatment that happens to be low has a small variance too, and
7–12 % of equal variants were told apart at α = .05. So the interval is Fieller's: the ratios ρ for which
the sequence of m_t − ρ·m_c holds 0,

    (m_t − ρ·m_c)² ≤ reach²·(V_t + ρ²·V_c),   reach = the boundary in standard errors,

which leaves out "no effect" exactly when the absolute interval does. It is bounded once the control's mean
is further from 0 than reach·√V_c; before that there is no relative effect.

**The clock.** n only has to grow in proportion to 1/V while the experiment runs; its unit does not matter,
since another one only moves N*. The number of requests does that where units keep arriving, and the
number of exposed units for means over units. Where the same units come back and V falls slower than 1/n,
the clock runs fast and the interval is wider than it need be, never too narrow after N* requests. The
number of buckets must not be the clock: once all are filled it stands still, while the data go on.

Sources: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, arXiv:2103.06476 (theorem 2.2, the one-sided
sequence and the choice of ρ in the appendix); Fieller 1954, doi:10.1111/j.2517-6161.1954.tb00159.x.
"""

import math
from dataclasses import replace
from functools import lru_cache

from analytics.comparison import Comparison, Method, check_alpha, comparison_of
from analytics.estimates import Contrast, Effect, Estimate, contrast
from analytics.results import Insufficient

TUNED_FOR = 5_000.0
"""N*: the number of samples at which the intervals are tightest."""

MINIMUM_DEGREES = 30
"""Degrees of freedom that the variance of each variant has before the first look."""


def sequential(
    treatment: Estimate | Insufficient,
    control: Estimate | Insufficient,
    *,
    alpha: float = 0.05,
    effect: Effect = Effect.ABSOLUTE,
    tuned_for: float = TUNED_FOR,
) -> Comparison | Insufficient:
    """The two-sided confidence sequence now, and the always-valid p.

    Args:
        treatment: the treatment's estimate.
        control: the control's estimate.
        alpha: the probability that the sequence ever misses the effect, in (0, 1).
        effect: absolute or relative to the control.
        tuned_for: N*, fixed beforehand.

    Returns:
        The comparison, or `Insufficient` with fewer than 30 degrees of freedom in either variant, where a
        relative effect has no bounded interval, or as in `analytics.estimates.contrast`.
    """
    found = begun_contrast(treatment, control)
    if isinstance(found, Insufficient):
        return found
    reach = boundary(found.sample_size, alpha, tuned_for)
    log_p = log_always_valid_p(found.z, found.sample_size, alpha, tuned_for)
    compared = comparison_of(found, reach * found.standard_error, log_p, alpha, Method.SEQUENTIAL)
    if effect is Effect.ABSOLUTE or isinstance(treatment, Insufficient) or isinstance(control, Insufficient):
        return compared
    limits = _relative_limits(treatment, control, reach)
    if isinstance(limits, Insufficient):
        return limits
    point = found.point / abs(control.unadjusted_mean)
    return replace(compared, point=point, lower=limits[0], upper=limits[1], effect=Effect.RELATIVE)


def begun_contrast(
    treatment: Estimate | Insufficient, control: Estimate | Insufficient
) -> Contrast | Insufficient:
    """The absolute contrast that a sequence of any kind looks at, from its first look on.

    Returns:
        The contrast, or `Insufficient` with fewer than 30 degrees of freedom in either variant, or as in
        `analytics.estimates.contrast`.
    """
    return contrast(_begun(treatment), _begun(control))


def _relative_limits(
    treatment: Estimate, control: Estimate, reach: float
) -> tuple[float, float] | Insufficient:
    """The smallest and the largest relative effect that is not rejected (Fieller)."""
    of_control = control.unadjusted_mean
    of_treatment = of_control + treatment.mean - control.mean
    clear = of_control**2 - reach**2 * control.variance
    if clear <= 0.0:
        return Insufficient("the control's mean is too close to 0 to express the effect as a part of it")
    spread = treatment.variance * clear + control.variance * of_treatment**2
    half = reach * math.sqrt(spread) / clear
    middle = of_treatment * of_control / clear
    # Relative to a negative mean, a larger ratio is a loss.
    around = middle - 1.0 if of_control > 0.0 else 1.0 - middle
    return around - half, around + half


def _begun(estimate: Estimate | Insufficient) -> Estimate | Insufficient:
    if isinstance(estimate, Insufficient) or estimate.degrees >= MINIMUM_DEGREES:
        return estimate
    return Insufficient(
        f"too few units so far: a first look takes as much as {MINIMUM_DEGREES + 1} equally busy analysis "
        f"buckets hold, and this is as much as {estimate.degrees + 1.0:.0f}"
    )


@lru_cache(maxsize=4096)
def mixture_precision(alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """ρ², which makes the two-sided boundary smallest at n = N* (approximately)."""
    check_alpha(alpha)
    if not tuned_for > 0.0:
        raise ValueError(f"tuned_for is a positive number of samples, not {tuned_for}")
    return (-2.0 * math.log(alpha) + math.log1p(-2.0 * math.log(alpha))) / tuned_for


def boundary(sample_size: float, alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """The two-sided boundary in standard errors: |z| reaching it rejects.

    Args:
        sample_size: n > 0.
        alpha: the probability of ever reaching it without an effect, in (0, 1).
        tuned_for: N*.
    """
    scaled = sample_size * mixture_precision(alpha, tuned_for)
    return math.sqrt(2.0 * (scaled + 1.0) / scaled * (0.5 * math.log1p(scaled) - math.log(alpha)))


def log_always_valid_p(z: float, sample_size: float, alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """The logarithm of the two-sided always-valid p, at most 0; p ≤ α exactly when |z| ≥ `boundary`.

    Args:
        z: the effect in standard errors.
        sample_size: n > 0.
        alpha: the level whose ρ² is used, in (0, 1).
        tuned_for: N*.
    """
    scaled = sample_size * mixture_precision(alpha, tuned_for)
    return min(0.0, 0.5 * math.log1p(scaled) - z * z * scaled / (2.0 * (scaled + 1.0)))


def one_sided_boundary(sample_size: float, alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """The one-sided boundary in standard errors: z reaching it rejects; α in (0, 1/2)."""
    scaled = sample_size * _one_sided_precision(alpha, tuned_for)
    return math.sqrt(
        2.0 * (scaled + 1.0) / scaled * math.log1p(math.exp(0.5 * math.log1p(scaled)) / (2.0 * alpha))
    )


def log_one_sided_p(z: float, sample_size: float, alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """The logarithm of the one-sided always-valid p; p ≤ α exactly when z ≥ `one_sided_boundary`."""
    scaled = sample_size * _one_sided_precision(alpha, tuned_for)
    exponent = z * z * scaled / (2.0 * (scaled + 1.0))
    if z <= 0.0 or exponent == 0.0:
        return 0.0
    log_gain = exponent + math.log(-math.expm1(-exponent))  # log(exp(exponent) − 1)
    return min(0.0, 0.5 * math.log1p(scaled) - math.log(2.0) - log_gain)


def _one_sided_precision(alpha: float, tuned_for: float) -> float:
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha of a one-sided sequence is a probability in (0, 1/2), not {alpha}")
    return mixture_precision(2.0 * alpha, tuned_for)
