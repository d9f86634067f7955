"""How often an interval misses the truth on simulated traffic."""

from dataclasses import dataclass

import numpy as np

from analytics.buckets import ANALYSIS_BUCKETS, BucketSums, bucketed_mean
from analytics.characteristics.clusters import buckets_of
from analytics.characteristics.latencies import LatencyTraffic
from analytics.comparison import Comparison, fixed_horizon
from analytics.games import NEVER, Stops, stops_at


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
        where = buckets_of(units, len(traffic.shares)) if self.buckets else np.arange(len(traffic.shares))
        size = ANALYSIS_BUCKETS if self.buckets else len(traffic.shares)
        treated, values = traffic.treated[run], traffic.logs[run].astype(np.float64)
        treatment, control = (
            bucketed_mean(
                BucketSums.from_rows(where[served], np.ones(served.sum()), values[served], size=size)
            )
            for served in (treated, ~treated)
        )
        comparison = fixed_horizon(treatment, control, alpha=self.alpha)
        return not (isinstance(comparison, Comparison) and self.truth in comparison.interval)
