"""Requests of users who differ: heavy-tailed activity, and values that are alike within a user."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats
from analytics.buckets import ANALYSIS_BUCKETS, BucketSums
from analytics.means import SampleSums
from analytics.traffic import StickyUnits


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one variant: their analysis buckets and log-normal values."""

    buckets: NDArray[np.int64]
    values: Floats

    @property
    def sums(self) -> BucketSums:
        return BucketSums.from_rows(self.buckets, np.ones(len(self.values)), self.values)

    @property
    def plain_sums(self) -> SampleSums:
        """As if every request were independent of all others."""
        return SampleSums(len(self.values), float(self.values.sum()), float(np.square(self.values).sum()))


def heavy_users(
    random: np.random.Generator, users: int, *, tail: float = 1.5, correlation: float = 0.3
) -> Requests:
    """About 5 requests a user, Pareto distributed; the logarithms of a user's values are correlated."""
    mean_activity = 5.0 * (tail - 1.0) / tail * (random.pareto(tail, users) + 1.0)
    user = np.repeat(np.arange(users), random.poisson(mean_activity))
    own = random.standard_normal(users)[user]
    logs = correlation**0.5 * own + (1.0 - correlation) ** 0.5 * random.standard_normal(len(user))
    buckets = random.integers(0, ANALYSIS_BUCKETS, users)[user]
    return Requests(buckets, 0.5 * np.exp(logs))


def bucket_sums_so_far(
    scenario: StickyUnits, random: np.random.Generator, *, step: int
) -> Iterator[tuple[BucketSums, BucketSums]]:
    """Requests and errors of treatment and control by analysis bucket, at every look at one run."""
    traffic = scenario.draw(random, 1)
    assert traffic.units is not None
    units, treated, errors = traffic.units[0], traffic.treated[0], traffic.errors[0]
    buckets = random.integers(0, ANALYSIS_BUCKETS, int(units.max()) + 1)[units]
    shape = -(-len(units) // step), 2, ANALYSIS_BUCKETS
    where = np.ravel_multi_index((np.arange(len(units)) // step, (~treated).astype(np.intp), buckets), shape)
    of_looks = [np.bincount(where, what, np.prod(shape)).reshape(shape) for what in (None, errors)]
    n, s = (of_look.cumsum(axis=0).astype(np.float64) for of_look in of_looks)
    for look in range(shape[0]):
        yield BucketSums(n[look, 0], s[look, 0]), BucketSums(n[look, 1], s[look, 1])
