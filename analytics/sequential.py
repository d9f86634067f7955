"""Treatment against control, to be looked at at any time and as often as one likes.

The asymptotic confidence sequence of a normal mixture. For an estimate Δ with variance V out of n samples

    ρ² = (−2 ln α + ln(1 − 2 ln α))/N*
    half-width = √V·√(2(nρ²+1)/(nρ²)·ln(√(nρ²+1)/α))
    p = min(1, √(nρ²+1)·exp(−ρ²z²n/(2(nρ²+1)))),  z = Δ/√V

holds for all n together with probability 1 − α as the first look moves out; it is tightest near n = N*.
The first look is taken when both variances have 30 degrees of freedom: with 5 % of the traffic in the
treatment and looks from the second bucket on, 8–16 % of equal variants were told apart at α = .05.
One-sided, with ρ² for 2α: upper limit = Δ + √V·√(2(nρ²+1)/(nρ²)·ln(1 + √(nρ²+1)/(2α))).

**The clock.** n only has to grow in proportion to 1/V while the experiment runs; its unit does not matter,
since another one only moves N*. The number of requests does that where units keep arriving, and the
number of exposed units for means over units. Where the same units come back and V falls slower than 1/n,
the clock runs fast and the interval is wider than it need be, never too narrow after N* requests. The
number of buckets must not be the clock: once all are filled it stands still, while the data go on.

Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, arXiv:2103.06476 (theorem 2.2, the one-sided
sequence and the choice of ρ in the appendix).
"""

import math
from functools import lru_cache

from analytics.comparison import Comparison, Method, check_alpha, comparison_of
from analytics.estimates import Effect, Estimate, contrast
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
        The comparison, or `Insufficient` with fewer than 30 degrees of freedom in either variant, or as in
        `analytics.estimates.contrast`.
    """
    found = contrast(_begun(treatment), _begun(control), effect)
    if isinstance(found, Insufficient):
        return found
    width = boundary(found.sample_size, alpha, tuned_for) * found.standard_error
    log_p = log_always_valid_p(found.z, found.sample_size, alpha, tuned_for)
    return comparison_of(found, width, log_p, alpha, Method.SEQUENTIAL)


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
