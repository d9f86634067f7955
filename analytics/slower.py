"""Is the treatment slower than the control? From all requests of few, busy units.

The mean logarithm of latency is cluster-robust (`analytics.buckets`: n = requests, s = sum of log latency
of each bucket), and the lower limit of the difference is that of the one-sided confidence sequence
(`analytics.sequential`), so it may be looked at always. This is the partner of the exact test on first
requests (`analytics.latency`): that one is fast with many units, this one has the power with few, busy
ones. A guardrail of α runs both, each at α/2.

The logarithm tames the tail of latencies, and its difference is a ratio: exp(difference) is by how much
typical (geometric mean) latencies differ. Sums of a canary whose share was raised go through
`analytics.ramp.over_ramp` first.
"""

import math
from dataclasses import dataclass

from analytics.buckets import BucketSums, bucketed_mean, too_few_buckets
from analytics.results import Insufficient
from analytics.sequential import TUNED_FOR, begun_contrast, log_one_sided_p, one_sided_boundary

MINIMUM_BUCKETS = 30


@dataclass(frozen=True, slots=True)
class Slower:
    """How much slower the treatment is at least.

    Attributes:
        point: the estimated difference of mean log latencies, treatment minus control.
        lower: its lower limit at `level`, valid at all times together.
        log_p_value: natural logarithm of the always-valid p against "not slower".
        level: 1 − α.
        requests: requests of both variants.
    """

    point: float
    lower: float
    log_p_value: float
    level: float
    requests: float

    @property
    def crossed(self) -> bool:
        """Whether the treatment is slower: the lower limit lies above 0."""
        return self.lower > 0.0

    @property
    def ratio(self) -> float:
        """The treatment's geometric mean latency over the control's."""
        return math.exp(self.point)


def cluster_robust_slower(
    treatment: BucketSums, control: BucketSums, *, alpha: float, tuned_for: float = TUNED_FOR
) -> Slower | Insufficient:
    """The lower limit of the difference in mean log latency.

    Args:
        treatment: requests (n) and sums of log latency (s) of the treatment by analysis bucket, all of
            them; any unit of latency, as it cancels.
        control: those of the control.
        alpha: the probability of ever calling a treatment slower that is not, in (0, 1/2). It is this
            test's own: a guardrail of α that runs this and its partner gives each α/2.
        tuned_for: N*, the requests of both at which the limit is tightest.

    Returns:
        The limit, or `Insufficient` with fewer than 30 non-empty buckets, or fewer than 30 degrees of
        freedom, in either variant.
    """
    for name, sums in (("treatment", treatment), ("control", control)):
        if (few := too_few_buckets(sums, MINIMUM_BUCKETS)) is not None:
            return Insufficient(f"{name}: {few.reason}")
    found = begun_contrast(bucketed_mean(treatment), bucketed_mean(control))
    if isinstance(found, Insufficient):
        return found
    n, error = found.sample_size, found.standard_error
    return Slower(
        point=found.point,
        lower=found.point - one_sided_boundary(n, alpha, tuned_for) * error,
        log_p_value=log_one_sided_p(found.z, n, alpha, tuned_for),
        level=1.0 - alpha,
        requests=n,
    )
