"""Simulated latencies of an experiment, and when the test of `analytics.latency` stops on them.

Latencies are log-normal. Only their order matters to the test, so everything is kept as natural logarithms
of latency over the control's median.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats
from analytics.eprocess import RESERVE
from analytics.games import Game, Outcomes, Stops, play, stops_at
from analytics.latency import LEVELS, NO_OBSERVATIONS, latency_log_factors
from analytics.traffic import Counting, Flags, drawn_units, first_requests

Logs = NDArray[np.float32]

SPREAD = 0.8
"""σ of the logarithm of latency: the 99th percentile is 6.4 times the median."""


@dataclass(frozen=True, slots=True)
class LatencyTraffic:
    """Requests in order of time.

    Attributes:
        shares: shape (requests,), the treatment's propensity w at each request, in (0, 1).
        treated: shape (runs, requests), whether the treatment served it.
        logs: shape (runs, requests), the logarithm of its latency.
        before: shape (runs, any), logarithms of latencies of the control just before the first request.
        units: shape (runs, requests), whose request it was, numbered from 0 in each run; None when every
            request is a unit of its own.
    """

    shares: Floats
    treated: Flags
    logs: Logs
    before: Logs
    units: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class LogNormalLatencies:
    """Units whose latencies may be alike; every request is a unit of its own when `requests_per_unit` is 0.

    The logarithm of a latency is log(everybody) + A·log(slower) + σ(√ρ·unit + √(1−ρ)·request), the last two
    standard normal; A = 1 for the treatment. Units are as in `analytics.traffic.StickyUnits`.

    Attributes:
        shares: shape (requests,), the treatment's propensity w.
        slower: by what the treatment's latencies are multiplied, shape (requests,) or a constant.
        everybody: by what all latencies are multiplied, shape (requests,) or a constant.
        requests_per_unit: the mean over all units, or 0.
        correlation: ρ in [0, 1), between the logarithms of two latencies of one unit.
        activity_tail: exponent of the Pareto distribution of activities; smaller is heavier.
        before: how many requests the control served just before.
    """

    shares: Floats
    slower: Floats | float = 1.0
    everybody: Floats | float = 1.0
    requests_per_unit: float = 0.0
    correlation: float = 0.0
    activity_tail: float = 1.5
    before: int = 600

    def draw(self, random: np.random.Generator, runs: int) -> LatencyTraffic:
        """Draw `runs` independent runs."""
        shape = (runs, len(self.shares))
        logs = SPREAD * random.standard_normal(shape, np.float32)
        before = SPREAD * random.standard_normal((runs, self.before), np.float32)
        if self.requests_per_unit:
            units, treated, own = self._draw_units(random, runs)
            logs = math.sqrt(1.0 - self.correlation) * logs + SPREAD * math.sqrt(self.correlation) * own
        else:
            units, treated = None, random.random(shape, np.float32) < self.shares.astype(np.float32)
        logs += np.log(np.asarray(self.everybody, np.float32))
        logs += treated * np.log(np.asarray(self.slower, np.float32))
        return LatencyTraffic(self.shares, treated, logs, before, units)

    def _draw_units(self, random: np.random.Generator, runs: int) -> tuple[NDArray[np.int32], Flags, Logs]:
        """Units, who served them, and what is their own in the logarithms; each (runs, requests)."""
        requests = len(self.shares)
        all_units = np.empty((runs, requests), np.int32)
        treated = np.empty((runs, requests), np.bool_)
        own = np.empty((runs, requests), np.float32)
        for run in range(runs):
            units, how_many = drawn_units(random, requests, self.requests_per_unit, self.activity_tail)
            all_units[run] = units
            treated[run] = random.random(how_many)[units] < self.shares
            own[run] = random.standard_normal(how_many, np.float32)[units]
        return all_units, treated, own


@dataclass(frozen=True, slots=True)
class LatencyTest:
    """The e-process of `analytics.latency.latency_evidence`; the control's window is the tick before.

    Attributes:
        alpha: it stops at E ≥ 1/α.
        counting: first requests, or every request to see what goes wrong then.
        requests_per_tick: requests to both variants in a minute.
        planned_ticks: J, the minutes over which the reserve is spent.
        reserve: the capital kept for late regressions; 0 for a test that is never re-armed.
    """

    alpha: float = 0.05
    counting: Counting = Counting.FIRST_REQUEST
    requests_per_tick: int = 600
    planned_ticks: int = 1440
    reserve: float = RESERVE

    def stops(self, traffic: LatencyTraffic) -> Stops:
        """Where each run is rolled back."""
        shares, share_index = np.unique(traffic.shares, return_inverse=True)
        game = Game(
            factors=np.exp(latency_log_factors(shares)),
            reserve=self.reserve,
            requests_per_tick=self.requests_per_tick,
            planned_ticks=self.planned_ticks,
            threshold=1.0 / self.alpha,
        )
        outcomes = self._bins(traffic) + np.where(traffic.treated, 0, len(NO_OBSERVATIONS)).astype(np.int16)
        return stops_at(traffic.treated, play(game, outcomes, share_index, self._counted(traffic)))

    def _counted(self, traffic: LatencyTraffic) -> Flags:
        if traffic.units is None or self.counting is Counting.EVERY_REQUEST:
            return np.ones_like(traffic.treated)
        return first_requests(traffic.units)

    def _bins(self, traffic: LatencyTraffic) -> Outcomes:
        """How many of the control's quantiles of the tick before each latency exceeds."""
        bins = np.zeros(traffic.logs.shape, np.int16)
        previous = traffic.before
        for start in range(0, traffic.logs.shape[1], self.requests_per_tick):
            tick = slice(start, start + self.requests_per_tick)
            for limits in _quantiles(previous):
                bins[:, tick] += traffic.logs[:, tick] > limits[:, None]
            previous = np.where(traffic.treated[:, tick], np.float32(np.inf), traffic.logs[:, tick])
        return bins


def _quantiles(logs: Logs) -> list[Logs]:
    """The sample quantiles of each run at every level; infinite values are left out.

    Args:
        logs: shape (runs, any).

    Returns:
        As many arrays of shape (runs,) as there are levels.
    """
    ordered = np.sort(logs, axis=1)
    finite = np.isfinite(logs).sum(axis=1)
    which = [np.maximum(np.ceil(level * finite).astype(np.intp) - 1, 0) for level in LEVELS]
    return [np.take_along_axis(ordered, index[:, None], axis=1)[:, 0] for index in which]


def lognormal_limit(slower: float, share: float, *, alpha: float) -> float:
    """The fewest treatment requests on average of any test that a treatment is slower, by these latencies.

    As `analytics.information`: w·log(1/α) over the information of a request against the nearest null
    hypothesis, one distribution for both, which is their mixture; so it is the mutual information of the
    latency and who served it: w·KL(T‖M) + (1−w)·KL(C‖M) with M = w·T + (1−w)·C, here for log-normal
    distributions that differ in location by log(slower)/σ.
    """
    shift = math.log(slower) / SPREAD
    grid = np.linspace(-9.0, 9.0 + shift, 20_001)
    control, treatment = (
        np.exp(-0.5 * (grid - location) ** 2) / math.sqrt(2.0 * math.pi) for location in (0.0, shift)
    )
    mixture = share * treatment + (1.0 - share) * control
    density = share * treatment * np.log(treatment / mixture)
    density += (1.0 - share) * control * np.log(control / mixture)
    information = float(density.sum() * (grid[1] - grid[0]))
    return share * math.log(1.0 / alpha) / information
