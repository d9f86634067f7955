"""How few requests could possibly do: the information limit of a test of two error rates.

No test that keeps its false alarms at or below α, however often it looks, decides sooner on average than
log(1/α) divided by the information that one request carries against the nearest null hypothesis. Here
that is the smallest Kullback-Leibler divergence from the true rates (p_t, p_c), weighted by the share w,
to a pair (s + δ, s) on the edge of the null:

    treatment requests >= w·log(1/α) / min_s [w·KL(p_t‖s+δ) + (1−w)·KL(p_c‖s)],

with KL(p‖q) = p·log(p/q) + (1−p)·log((1−p)/(1−q)). The efficiency of a test is this limit over what the
test needs. The edge is the same for rollback and promotion; they stand on different sides of it.

Source: the lower bound of sequential testing, Wald 1945, doi:10.1214/aoms/1177731118; for composite
hypotheses Kaufmann, Cappé & Garivier 2016, arXiv:1407.4443.
"""

import math
from dataclasses import dataclass

from scipy.optimize import minimize_scalar
from scipy.special import rel_entr

from analytics.results import Insufficient


@dataclass(frozen=True, slots=True)
class InformationLimit:
    """The mean number of requests below which no valid test decides.

    Attributes:
        treatment_requests: requests served by the treatment.
        requests: requests served by both.
    """

    treatment_requests: float
    requests: float

    def seconds(self, requests_per_s: float) -> float:
        """The time this takes at `requests_per_s` requests to both variants together."""
        if not requests_per_s > 0.0:
            raise ValueError(f"requests_per_s is positive, not {requests_per_s}")
        return self.requests / requests_per_s


def rollback_limit(
    control_rate: float, treatment_rate: float, share: float, *, alpha: float, margin: float = 0.0
) -> InformationLimit | Insufficient:
    """The limit of any rollback of a treatment that is worse by more than `margin`.

    Args:
        control_rate: p_c, the control's error rate in [0, 1].
        treatment_rate: p_t, the treatment's error rate in [0, 1].
        share: w in (0, 1), the treatment's propensity.
        alpha: the probability of a false rollback that is accepted, in (0, 1).
        margin: δ in [0, 1).

    Returns:
        The limit, or `Insufficient` when the treatment is not worse by more than δ.
    """
    _check(control_rate, treatment_rate, share, alpha, margin)
    if treatment_rate - control_rate <= margin:
        return Insufficient("the treatment is not worse by more than the margin: there is nothing to find")
    return _limit(control_rate, treatment_rate, share, alpha, margin)


def promotion_limit(
    control_rate: float, treatment_rate: float, share: float, *, alpha: float, margin: float
) -> InformationLimit | Insufficient:
    """The limit of any promotion of a treatment that is not worse by `margin`; arguments as above.

    Returns:
        The limit, or `Insufficient` when the treatment is worse by δ or more.
    """
    _check(control_rate, treatment_rate, share, alpha, margin)
    if treatment_rate - control_rate >= margin:
        return Insufficient("the treatment is worse by the margin or more: it should never be promoted")
    return _limit(control_rate, treatment_rate, share, alpha, margin)


def _limit(
    control_rate: float, treatment_rate: float, share: float, alpha: float, margin: float
) -> InformationLimit:
    def information(null_rate: float) -> float:
        of_treatment = _divergence(treatment_rate, null_rate + margin)
        return share * of_treatment + (1.0 - share) * _divergence(control_rate, null_rate)

    # The minimum is convex in s and lies between the two values of s at which one of its terms vanishes.
    ends = max(treatment_rate - margin, 0.0), min(control_rate, 1.0 - margin)
    bounds = min(ends), max(ends)
    best = minimize_scalar(information, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    requests = math.log(1.0 / alpha) / float(best.fun)
    return InformationLimit(treatment_requests=share * requests, requests=requests)


def _divergence(p: float, q: float) -> float:
    """KL(p‖q) between Bernoulli distributions, in nats; infinite where q excludes what p allows."""
    return float(rel_entr(p, q) + rel_entr(1.0 - p, 1.0 - q))


def _check(control_rate: float, treatment_rate: float, share: float, alpha: float, margin: float) -> None:
    for name, rate in (("control_rate", control_rate), ("treatment_rate", treatment_rate)):
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"{name} is a fraction in [0, 1], not {rate}")
    for name, value in (("share", share), ("alpha", alpha)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} is a fraction in (0, 1), not {value}")
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"margin is a difference of rates in [0, 1), not {margin}")
