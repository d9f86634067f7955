"""The mean of paired differences: what one variant did to a request minus what the other did to the same one.

Both halves of a pair share what makes requests differ from each other, such as the length of a prompt, so
their difference varies much less than the halves do. Pairs of one unit are correlated; the mean is the
cluster-robust one over analysis buckets (`analytics.buckets`), with n_b pairs and the sum of their
differences s_b. Its interval is a confidence sequence (`analytics.sequential`)

    m ± √V·√(2(nρ²+1)/(nρ²)·ln(√(nρ²+1)/α)),   n = Σn_b pairs

which holds however often one looks, from 30 degrees of freedom of V on.
"""

from dataclasses import dataclass

from analytics.buckets import BucketSums, bucketed_mean
from analytics.results import Insufficient, Interval
from analytics.sequential import MINIMUM_DEGREES, TUNED_FOR, boundary


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A mean difference and where it may lie, in the measure's unit.

    Attributes:
        mean: the mean difference.
        interval: a confidence sequence now; `Insufficient` before it begins.
        pairs: how many pairs it comes from.
    """

    mean: float
    interval: Interval | Insufficient
    pairs: int


def mean_difference(
    sums: BucketSums, *, alpha: float = 0.05, tuned_for: float = TUNED_FOR
) -> PairedDifference | Insufficient:
    """The mean of paired differences.

    Args:
        sums: n pairs, and the sum s of their differences, of each bucket.
        alpha: the probability that the sequence of intervals ever misses the mean, in (0, 1).
        tuned_for: the number of pairs at which the intervals are tightest, fixed beforehand.

    Returns:
        The mean with its interval, or `Insufficient` without a pair.
    """
    if not sums.filled:
        return Insufficient("there is no pair to compare yet")
    found = bucketed_mean(sums)
    interval: Interval | Insufficient
    if isinstance(found, Insufficient):
        interval = found
    elif found.degrees < MINIMUM_DEGREES:
        interval = Insufficient(
            f"too few units so far: a first look takes as much as {MINIMUM_DEGREES + 1} equally busy "
            f"analysis buckets hold, and this is as much as {found.degrees + 1.0:.0f}"
        )
    elif found.variance == 0.0:
        interval = Insufficient("no two differences differ, so nothing is known of how much they vary")
    else:
        half = boundary(found.sample_size, alpha, tuned_for) * found.standard_error
        interval = Interval(found.mean - half, found.mean + half, 1.0 - alpha)
    return PairedDifference(sums.total / sums.total_n, interval, int(sums.total_n))
