"""How many units an A/B test needs, what it can find with those it has, and how many are still missing.

With V = v/n the variance of the effect after n units of both variants,

    v = σ_t²/w + σ_c²/(1−w),

the power of a fixed horizon is Φ(Δ/√V − z) + Φ(−Δ/√V − z) with z = z_{1−α/2}. Of a confidence sequence
looked at all the time it is the probability that a Brownian motion with drift crosses the curved boundary
by n. The boundary is concave, so every tangent lies above it, and crossing a line by n has a closed form
(Bachelier 1900; Siegmund 1985, Sequential Analysis, ch. 3): with drift μ against the line a + c·t,

    Φ(((μ−c)n − a)/√n) + exp(2a(μ−c))·Φ((−(μ−c)n − a)/√n).

The best of several tangents is taken. Each is a lower bound of the power, so the plans err on the side of
too many units, by little (`tests/unit/analytics/test_power.py` simulates it).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

from analytics.betting import Floats
from analytics.comparison import Method, check_alpha
from analytics.estimates import Contrast
from analytics.results import Insufficient
from analytics.sequential import TUNED_FOR, boundary, mixture_precision

_TANGENTS = 24
_MOST_UNITS = 1e15


@dataclass(frozen=True, slots=True)
class Design:
    """How a metric is going to be compared.

    Attributes:
        unit_variance: v, the variance of the effect times the units of both variants: from
            `mean_variance`, `proportion_variance` or, of a running experiment, V·n.
        alpha: in (0, 1), two-sided.
        method: one look at the end, or always.
        tuned_for: N* of the confidence sequence.
    """

    unit_variance: float
    alpha: float = 0.05
    method: Method = Method.SEQUENTIAL
    tuned_for: float = TUNED_FOR

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if not 0.0 < self.unit_variance < math.inf:
            raise ValueError(f"the variance of the effect is positive, not {self.unit_variance}")

    def power(self, effect: float, units: float) -> float:
        """The probability of finding an effect with this many units of both variants.

        Args:
            effect: the true effect, on the scale of `unit_variance`; its sign does not matter.
            units: n > 0.
        """
        if not units > 0.0:
            raise ValueError(f"units is a positive number, not {units}")
        drift = abs(effect) / math.sqrt(self.unit_variance)
        if self.method is Method.FIXED_HORIZON:
            z, reach = drift * math.sqrt(units), -float(ndtri(self.alpha / 2.0))
            return float(ndtr(z - reach) + ndtr(-z - reach))
        return self._power_of_always(drift, units)

    def units_needed(self, effect: float, power: float = 0.8) -> float | Insufficient:
        """The units of both variants with which the effect is found with probability `power`."""
        _check_power(power, self.alpha)
        if effect == 0.0:
            return Insufficient("an effect of 0 cannot be found with any number of units")
        least = max(2.0, 1e-3 * self.unit_variance / effect**2)
        return _first(lambda units: self.power(effect, units) - power, least)

    def minimum_detectable_effect(self, units: float, power: float = 0.8) -> float | Insufficient:
        """The smallest effect that is found with probability `power` with this many units of both."""
        _check_power(power, self.alpha)
        least = 1e-3 * math.sqrt(self.unit_variance / units)
        return _first(lambda effect: self.power(effect, units) - power, least)

    def _power_of_always(self, drift: float, units: float) -> float:
        at = units * np.linspace(1.0 / _TANGENTS, 1.0, _TANGENTS)
        precision = mixture_precision(self.alpha, self.tuned_for)
        height = np.array([boundary(n, self.alpha, self.tuned_for) for n in at]) * np.sqrt(at)
        inner = np.log1p(precision * at) - 2.0 * math.log(self.alpha)
        slope = (inner + 1.0) / (2.0 * height)  # height² = (t + 1/ρ²)·inner
        start = height - slope * at
        upward = _crossing(start, slope, drift, units).max()
        downward = _crossing(start, slope, -drift, units).max()
        return float(min(1.0, upward + downward)) if drift == 0.0 else float(upward)


def mean_variance(treatment_variance: float, control_variance: float, share: float) -> float:
    """v of an absolute difference of means: σ_t²/w + σ_c²/(1−w).

    Args:
        treatment_variance: σ_t² between units, in the metric's unit squared.
        control_variance: σ_c².
        share: w in (0, 1), the treatment's part of the units.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share is a fraction in (0, 1), not {share}")
    return treatment_variance / share + control_variance / (1.0 - share)


def proportion_variance(treatment_rate: float, control_rate: float, share: float) -> float:
    """v of an absolute difference of rates: `mean_variance` with σ² = p(1−p)."""
    for rate in (treatment_rate, control_rate):
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"a rate is a fraction in [0, 1], not {rate}")
    of_treatment, of_control = (rate * (1.0 - rate) for rate in (treatment_rate, control_rate))
    return mean_variance(of_treatment, of_control, share)


@dataclass(frozen=True, slots=True)
class ToDecide:
    """How far an experiment is from a decision, if its effect stays what it is estimated to be.

    Attributes:
        needed: samples of both variants at which 0 leaves the interval.
        remaining: how many of them are still missing; 0 when it has left already.
    """

    needed: float
    remaining: float


def samples_to_decide(
    found: Contrast, *, alpha: float = 0.05, tuned_for: float = TUNED_FOR, method: Method = Method.SEQUENTIAL
) -> ToDecide | Insufficient:
    """How many samples until the interval excludes 0, with the effect and the variance of one sample as now.

    About half of the experiments with such an effect take longer. The estimate swings early on: say
    "at this rate", never "then".

    Args:
        found: the contrast now; its sample size is what is counted.
        alpha: one minus the confidence of the interval, in (0, 1).
        tuned_for: N* of the confidence sequence.
        method: which interval.
    """
    check_alpha(alpha)
    if found.point == 0.0:
        return Insufficient("the estimated effect is 0: no number of samples would tell it from 0")
    z_of_one = abs(found.z) / math.sqrt(found.sample_size)

    def beyond(samples: float) -> float:
        sequential = method is Method.SEQUENTIAL
        reach = boundary(samples, alpha, tuned_for) if sequential else -float(ndtri(alpha / 2.0))
        return z_of_one * math.sqrt(samples) - reach

    if beyond(found.sample_size) >= 0.0:
        return ToDecide(found.sample_size, 0.0)
    needed = _first(beyond, found.sample_size)
    if isinstance(needed, Insufficient):
        return needed
    return ToDecide(needed, needed - found.sample_size)


def _crossing(start: Floats, slope: Floats, drift: float, time: float) -> Floats:
    """The probability that Brownian motion with drift reaches the lines start + slope·t by `time`."""
    toward, root = drift - slope, math.sqrt(time)
    late = 2.0 * start * toward + log_ndtr((-toward * time - start) / root)
    crossed: Floats = ndtr((toward * time - start) / root) + np.exp(late)
    return crossed


def _first(function: Callable[[float], float], least: float) -> float | Insufficient:
    """Where a growing function that is negative at `least` becomes positive."""
    if function(least) >= 0.0:
        return least
    most = 2.0 * least
    while function(most) < 0.0:
        most *= 2.0
        if most > _MOST_UNITS * max(least, 1.0):
            return Insufficient("out of reach: more than can ever be observed would be needed")
    return float(brentq(function, most / 2.0, most, rtol=1e-9))


def _check_power(power: float, alpha: float) -> None:
    if not alpha < power < 1.0:
        raise ValueError(f"power is a probability above alpha and below 1, not {power}")
