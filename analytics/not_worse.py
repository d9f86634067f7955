"""Is the treatment's error rate not worse than the control's by δ? From all requests of few, busy units.

The rates and their variances are cluster-robust (`analytics.buckets`: n = requests, s = errors of each
bucket), and the upper limit of p_t − p_c is that of the one-sided confidence sequence
(`analytics.sequential`), so it may be looked at always. This is the second of the two tests of promotion,
beside the exact one on first requests (`analytics.evidence.promotion_evidence`).

**Variance under the null hypothesis.** A treatment that happened to have few errors so far has a small
estimated variance as well, and a limit built on it is too low just when it matters: with 5 % of the
traffic 9 to 17 % of treatments worse by δ passed at α = .05. So the treatment's variance is taken as if
its rate were p_c + d, where d is the difference in question, while its design effect stays as estimated:

    V_t(d) = V_t·q(1−q)/(p_t(1−p_t)),  q = p_c + d, no further than 1/2.

The upper limit is the d with d − (p_t − p_c) = c·√(V_t(d) + V_c); for one look at independent requests this
is the score interval (Wilson 1927; Farrington & Manning 1990, doi:10.1002/sim.4780091208).

**The clock** is the number of requests of both variants. Where the same units come back it runs ahead of
the information, which costs a little width and keeps the promise; see `analytics.sequential`.

The sequence is an approximation and needs something to approximate with: at least 30 non-empty buckets and
errors in at least 5 of them, in each variant (`analytics.buckets.bucketed_rate`). It does not wait for 30
degrees of freedom, as other sequences do: it is there for few, busy units, and keeps its promise with them.
"""

import math
from dataclasses import dataclass

from scipy.optimize import brentq

from analytics.buckets import MINIMUM_EVENT_BUCKETS, BucketSums, bucketed_rate, too_few_buckets
from analytics.estimates import Estimate, contrast
from analytics.results import Insufficient
from analytics.sequential import TUNED_FOR, log_one_sided_p, one_sided_boundary

MINIMUM_BUCKETS = 30
"""Buckets with requests that each variant must have."""

MINIMUM_ERRORS = MINIMUM_EVENT_BUCKETS
"""Buckets with errors that each variant must have."""


@dataclass(frozen=True, slots=True)
class NotWorse:
    """How much worse the treatment could at most be.

    Attributes:
        point: the estimated difference p_t − p_c of error rates.
        upper: its upper limit at `level`, valid at all times together, at most 1.
        margin: δ.
        log_p_value: natural logarithm of the always-valid p against p_t − p_c ≥ δ.
        level: 1 − α.
        requests: requests of both variants.
    """

    point: float
    upper: float
    margin: float
    log_p_value: float
    level: float
    requests: float

    @property
    def passes(self) -> bool:
        """Whether the treatment is not worse by δ: the upper limit lies below the margin."""
        return self.upper < self.margin


def cluster_robust_not_worse(
    treatment: BucketSums,
    control: BucketSums,
    *,
    margin: float,
    alpha: float,
    tuned_for: float = TUNED_FOR,
) -> NotWorse | Insufficient:
    """The upper limit of p_t − p_c, set against the margin.

    Args:
        treatment: requests (n) and errors (s) of the treatment by analysis bucket, all of them.
        control: those of the control.
        margin: δ in [0, 1), a difference of rates.
        alpha: the probability of ever passing a treatment that is worse by δ, in (0, 1/2).
        tuned_for: N*, the requests of both at which the limit is tightest.

    Returns:
        The limit, or `Insufficient` with fewer than 30 non-empty buckets or fewer than 5 buckets with
        errors in either variant.

    Raises:
        ValueError: an argument is out of range, or a bucket has more errors than requests.
    """
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"margin is a difference of rates in [0, 1), not {margin}")
    of_treatment, of_control = _rate("treatment", treatment), _rate("control", control)
    found = contrast(of_treatment, of_control)
    if isinstance(of_treatment, Insufficient):
        return of_treatment
    if isinstance(of_control, Insufficient):
        return of_control
    if isinstance(found, Insufficient):
        return found
    requests = found.sample_size
    error = _standard_error(of_treatment, of_control, margin)
    return NotWorse(
        point=found.point,
        upper=_upper(of_treatment, of_control, one_sided_boundary(requests, alpha, tuned_for)),
        margin=margin,
        log_p_value=log_one_sided_p((margin - found.point) / error, requests, alpha, tuned_for),
        level=1.0 - alpha,
        requests=requests,
    )


def _rate(name: str, sums: BucketSums) -> Estimate | Insufficient:
    """The cluster-robust error rate, where there is enough to approximate with."""
    few, rate = too_few_buckets(sums, MINIMUM_BUCKETS), bucketed_rate(sums)
    missing = few or (rate if isinstance(rate, Insufficient) else None)
    return rate if missing is None else Insufficient(f"{name}: {missing.reason}")


def _standard_error(treatment: Estimate, control: Estimate, difference: float) -> float:
    """√(V_t(d) + V_c); V_t(d) is never below V_t."""
    rate = treatment.mean
    under_null = min(max(rate, control.mean + difference), max(rate, 0.5))
    scale = under_null * (1.0 - under_null) / (rate * (1.0 - rate))
    return math.sqrt(treatment.variance * scale + control.variance)


def _upper(treatment: Estimate, control: Estimate, boundary: float) -> float:
    """The largest difference that the boundary does not reject, at most 1."""
    point = treatment.mean - control.mean

    def beyond(difference: float) -> float:
        return difference - point - boundary * _standard_error(treatment, control, difference)

    # Convex in the difference and negative at the point: it becomes positive once.
    return float(brentq(beyond, point, 1.0, xtol=1e-15)) if beyond(1.0) > 0.0 else 1.0
