"""The rate of a binary outcome over correlated samples, with an interval that also holds near 0 and 1.

Wilson's score interval with an effective sample size: with the rate p, its cluster-robust variance V (see
`analytics.buckets`) with d degrees of freedom, and N samples

    n* = min(N, p(1−p)/V·(z/t_d)²)
    (p + z²/2n* ± z·√(p(1−p)/n* + z²/4n*²))/(1 + z²/n*)

where z and t_d are the 1 − α/2 quantiles of the normal and of Student's distribution. Where nothing varies
yet (p is 0 or 1, or all buckets have the same rate) V says nothing; n* is then as many buckets of equal size
as would weigh the same, (Σn)²/Σn². The interval is for one look, at a time that does not depend on the data.

Sources: Wilson 1927, doi:10.1080/01621459.1927.10502953; the effective sample size and the factor
(z/t)²: Korn & Graubard 1998, Survey Methodology 24(2), and the comparison of intervals for proportions of
clustered samples in Franco, Little, Louis & Slud 2019, doi:10.1093/jssam/smy019.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

from analytics.buckets import BucketSums, bucketed_mean, too_few_buckets
from analytics.comparison import check_alpha
from analytics.estimates import Estimate
from analytics.results import Insufficient, Interval


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate and where it may lie.

    Attributes:
        rate: events/samples, a fraction.
        interval: Wilson's interval; `Insufficient` where all samples are in one bucket.
        samples: N, how many samples it comes from.
        effective: n*, as many independent samples as would say as much.
    """

    rate: float
    interval: Interval | Insufficient
    samples: int
    effective: float


def clustered_rate(sums: BucketSums, *, alpha: float = 0.05) -> Rate | Insufficient:
    """The rate Σs/Σn with its interval.

    Args:
        sums: n samples and s events of each bucket.
        alpha: one minus the confidence of the interval, in (0, 1).

    Returns:
        The rate, or `Insufficient` without a sample.

    Raises:
        ValueError: a bucket with more events than samples.
    """
    check_alpha(alpha)
    if ((sums.s < 0.0) | (sums.s > sums.n)).any():
        raise ValueError("every bucket has 0 <= events <= samples")
    if not sums.filled:
        return Insufficient("there is no sample yet")
    rate, effective = sums.total / sums.total_n, _effective_size(sums, alpha)
    few = too_few_buckets(sums, 2)
    interval = few or wilson(rate, effective, alpha=alpha)
    return Rate(rate, interval, int(sums.total_n), effective)


def wilson(rate: float, samples: float, *, alpha: float = 0.05) -> Interval:
    """Wilson's score interval of a rate over so many independent samples.

    Args:
        rate: a fraction.
        samples: above 0, and not necessarily whole.
        alpha: one minus the confidence, in (0, 1).
    """
    check_alpha(alpha)
    return Interval(*score_limits(rate, samples, -float(ndtri(alpha / 2.0))), 1.0 - alpha)


def score_limits(rate: float, samples: float, reach: float) -> tuple[float, float]:
    """The rates q that lie within `reach` of their own standard errors √(q(1−q)/samples) from the rate.

    They are in [0, 1] and, unlike rate ± reach·√(p(1−p)/samples), never both 0 or both 1. With the normal
    quantile for `reach` they are Wilson's; with the boundary of a confidence sequence they hold always.

    Args:
        rate: a fraction.
        samples: above 0, and not necessarily whole.
        reach: standard errors, above 0.
    """
    if not (0.0 <= rate <= 1.0 and samples > 0.0):
        raise ValueError(f"a rate of {rate} over {samples} samples is none")
    center = rate + reach**2 / (2.0 * samples)
    half = reach * math.sqrt(rate * (1.0 - rate) / samples + reach**2 / (4.0 * samples**2))
    scale = 1.0 + reach**2 / samples
    # At 0 and 1 the limit is the rate itself, but for rounding.
    lower = 0.0 if rate == 0.0 else max(0.0, (center - half) / scale)
    upper = 1.0 if rate == 1.0 else min(1.0, (center + half) / scale)
    return lower, upper


def limits_of_share(share: Estimate, reach: float) -> tuple[float, float]:
    """The score limits of a share estimated from buckets, `reach` standard errors to either side.

    n* is min(N, p(1−p)/V) as above; where nothing varies yet, as many buckets as would weigh the same, which
    is one more than the degrees of freedom.

    Args:
        share: from `analytics.buckets.bucketed_mean`.
        reach: of Student's distribution, or of a confidence sequence; above 0.
    """
    rate = min(max(share.mean, 0.0), 1.0)
    spread = rate * (1.0 - rate)
    if spread == 0.0 or share.variance == 0.0:
        return score_limits(rate, min(share.sample_size, share.degrees + 1.0), reach)
    return score_limits(rate, min(share.sample_size, spread / share.variance), reach)


def _effective_size(sums: BucketSums, alpha: float) -> float:
    found = bucketed_mean(sums)
    if isinstance(found, Insufficient) or found.variance == 0.0:
        return sums.total_n**2 / float(sums.n @ sums.n)
    narrowing = float(ndtri(alpha / 2.0) / stdtrit(found.degrees, alpha / 2.0)) ** 2
    return min(sums.total_n, found.mean * (1.0 - found.mean) / found.variance * narrowing)
