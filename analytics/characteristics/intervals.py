"""How often an interval misses the truth on simulated traffic."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats
from analytics.buckets import BucketSums, bucketed_mean
from analytics.characteristics.clusters import buckets_of
from analytics.characteristics.latencies import LatencyTraffic
from analytics.comparison import Comparison, fixed_horizon
from analytics.estimates import Estimate
from analytics.games import NEVER, Stops, stops_at
from analytics.results import Insufficient


@dataclass(frozen=True, slots=True)
class MissedByInterval:
    """Whether Welch's interval of bucketed means, at the end of the run, misses the true difference.

    Attributes:
        truth: the treatment's mean log latency minus the control's.
        alpha: one minus the confidence of the interval.
        buckets: False for an interval that takes requests for independent.
    """

    truth: float = 0.0
    alpha: float = 0.05
    buckets: bool = True

    def stops(self, traffic: LatencyTraffic) -> Stops:
        """A run that is missed stops at its last request."""
        last = len(traffic.shares) - 1
        found = [last if self._missed(traffic, run) else NEVER for run in range(len(traffic.treated))]
        return stops_at(traffic.treated, np.array(found))

    def _missed(self, traffic: LatencyTraffic, run: int) -> bool:
        units = None if traffic.units is None else traffic.units[run]
        treated, logs = traffic.treated[run], traffic.logs[run].astype(np.float64)
        where = buckets_of(units, len(traffic.shares))
        treatment, control = (
            _bucketed(where[served], logs[served]) if self.buckets else _plain(logs[served])
            for served in (treated, ~treated)
        )
        comparison = fixed_horizon(treatment, control, alpha=self.alpha)
        return not (isinstance(comparison, Comparison) and self.truth in comparison.interval)


def _bucketed(where: NDArray[np.int64], logs: Floats) -> Estimate | Insufficient:
    return bucketed_mean(BucketSums.from_rows(where, np.ones(len(logs)), logs))


def _plain(logs: Floats) -> Estimate:
    """As if every request were independent of all others."""
    return Estimate(float(logs.mean()), float(logs.var(ddof=1)) / len(logs), len(logs), len(logs) - 1)
