"""When the cluster-robust tests on all requests stop on simulated traffic, looked at again and again.

The tests are those of `analytics.not_worse` and `analytics.slower` on sums that went through
`analytics.ramp`, computed for all looks of a run at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytics.betting import Floats
from analytics.buckets import ANALYSIS_BUCKETS, MINIMUM_EVENT_BUCKETS
from analytics.characteristics.latencies import LatencyTraffic
from analytics.games import NEVER, Stops, stops_at
from analytics.not_worse import MINIMUM_BUCKETS
from analytics.sequential import MINIMUM_DEGREES, one_sided_boundary
from analytics.traffic import Flags, Traffic

FIRST_LOOK = 100
GROWTH = 1.1
"""Looks are 10 % of the requests so far apart, so that they are dense where the approximation is weakest."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One run at all looks.

    Attributes:
        means: shape (2, looks), of treatment and control; NaN without a request.
        variances: shape (2, looks), the cluster-robust variances of the means; NaN with a single bucket.
        filled: shape (looks,), non-empty buckets of the variant that has fewer.
        not_zero: shape (looks,), buckets whose sum is not 0, likewise.
        degrees: shape (looks,), degrees of freedom, likewise; NaN without a request.
    """

    means: Floats
    variances: Floats
    filled: NDArray[np.int64]
    not_zero: NDArray[np.int64]
    degrees: Floats

    @property
    def point(self) -> Floats:
        """Shape (looks,): the treatment's mean minus the control's."""
        difference: Floats = self.means[0] - self.means[1]
        return difference


@dataclass(frozen=True, slots=True)
class BucketedNotWorseTest:
    """`analytics.not_worse.cluster_robust_not_worse`.

    Attributes:
        alpha: the probability of a false promotion that is accepted.
        margin: δ.
        weighted: whether requests are weighted by propensity (`analytics.ramp`); if not, every one counts 1.
    """

    alpha: float = 0.05
    margin: float = 0.02
    weighted: bool = True

    def stops(self, traffic: Traffic) -> Stops:
        """Where each run is promoted."""
        looks = looks_of(len(traffic.shares))
        limits = _boundaries(looks, self.alpha)
        found = np.full(len(traffic.treated), NEVER, np.int64)
        for run in range(len(found)):
            units = None if traffic.units is None else traffic.units[run]
            seen = _looked(
                traffic.errors[run], traffic.treated[run], units, traffic.shares, looks, self.weighted
            )
            passes = seen.point + limits * self._error(seen) < self.margin
            enough = (seen.filled >= MINIMUM_BUCKETS) & (seen.not_zero >= MINIMUM_EVENT_BUCKETS)
            found[run] = _first(passes & enough, looks)
        return stops_at(traffic.treated, found)

    def _error(self, seen: Looked) -> Floats:
        """The standard error at the margin, as `analytics.not_worse` has it."""
        rate, control_rate = seen.means
        null_rate = np.clip(control_rate + self.margin, rate, np.maximum(rate, 0.5))
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = null_rate * (1.0 - null_rate) / (rate * (1.0 - rate))
            error: Floats = np.sqrt(seen.variances[0] * scale + seen.variances[1])
        return error


@dataclass(frozen=True, slots=True)
class BucketedSlowerTest:
    """`analytics.slower.cluster_robust_slower`.

    Attributes:
        alpha: the probability of a false rollback that is accepted.
        weighted: whether requests are weighted by propensity (`analytics.ramp`); if not, every one counts 1.
    """

    alpha: float = 0.05
    weighted: bool = True

    def stops(self, traffic: LatencyTraffic) -> Stops:
        """Where each run is rolled back."""
        looks = looks_of(len(traffic.shares))
        limits = _boundaries(looks, self.alpha)
        found = np.full(len(traffic.treated), NEVER, np.int64)
        for run in range(len(found)):
            units = None if traffic.units is None else traffic.units[run]
            seen = _looked(
                traffic.logs[run], traffic.treated[run], units, traffic.shares, looks, self.weighted
            )
            passes = seen.point - limits * np.sqrt(seen.variances.sum(axis=0)) > 0.0
            enough = (seen.filled >= MINIMUM_BUCKETS) & (seen.degrees >= MINIMUM_DEGREES)
            found[run] = _first(passes & enough, looks)
        return stops_at(traffic.treated, found)


def buckets_of(units: NDArray[np.int32] | None, requests: int) -> NDArray[np.int64]:
    """The analysis bucket of each request of a run, by a multiplicative hash of its unit's number."""
    numbers = np.arange(requests, dtype=np.uint64) if units is None else units.astype(np.uint64)
    mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(54)).astype(np.int64)


def looks_of(requests: int) -> NDArray[np.int64]:
    """How many requests have been seen at each look, increasing to `requests`."""
    sizes = FIRST_LOOK * GROWTH ** np.arange(1000)
    return np.unique(np.append(sizes[sizes < requests], requests).astype(np.int64))


def _looked(
    values: ArrayLike,
    treated: Flags,
    units: NDArray[np.int32] | None,
    shares: Floats,
    looks: NDArray[np.int64],
    weighted: bool,
) -> Looked:
    requests = len(shares)
    look = np.searchsorted(looks, np.arange(requests), side="right")
    place = (look * 2 + ~treated) * ANALYSIS_BUCKETS + buckets_of(units, requests)
    weights = np.where(treated, 1.0 / shares, 1.0 / (1.0 - shares)) if weighted else np.ones(requests)

    def running(of_each: Floats) -> Floats:
        sums = np.asarray(np.bincount(place, of_each, 2 * len(looks) * ANALYSIS_BUCKETS), np.float64)
        added = sums.reshape(len(looks), 2, ANALYSIS_BUCKETS)
        for at in range(1, len(looks)):  # several times as fast as cumsum along this axis
            added[at] += added[at - 1]
        return added

    n, s = running(weights), running(weights * np.asarray(values, np.float64))
    total_n, filled = n.sum(axis=2), np.count_nonzero(n, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = s.sum(axis=2) / total_n
        residuals = s - means[:, :, None] * n
        residuals /= total_n[:, :, None] - n
        variances = (filled - 1) / filled * np.einsum("lvb,lvb->lv", residuals, residuals)
        degrees = total_n**2 / np.einsum("lvb,lvb->lv", n, n) - 1.0
    not_zero = np.count_nonzero(s, axis=2)
    return Looked(means.T, variances.T, filled.min(axis=1), not_zero.min(axis=1), degrees.min(axis=1))


def _boundaries(looks: NDArray[np.int64], alpha: float) -> Floats:
    return np.array([one_sided_boundary(float(requests), alpha) for requests in looks])


def _first(passes: Flags, looks: NDArray[np.int64]) -> int:
    return int(looks[passes.argmax()]) - 1 if passes.any() else NEVER
