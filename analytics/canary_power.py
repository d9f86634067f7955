"""How long a canary takes: the limit no test can beat, and what the e-processes take in simulation.

`analytics.information` gives the limit; here the tests of `analytics.simulation` run on traffic with the
rates in question, so a plan can say beforehand how many requests a rollback or a promotion takes, and how
often it is not reached by the end.
"""

from dataclasses import dataclass

import numpy as np

from analytics.information import InformationLimit, promotion_limit, rollback_limit
from analytics.results import Insufficient
from analytics.simulation import PromotionTest, RollbackTest
from analytics.traffic import IndependentUnits

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """What to expect of a canary with these rates.

    Attributes:
        decided: the fraction of simulated canaries that were decided within `horizon`.
        median_treatment_requests: requests of the treatment by which half of all were decided, or why not.
        mean_treatment_requests: the mean over all runs, undecided ones counted up to the horizon.
        limit: the mean number of requests below which no valid test decides.
        horizon: requests of both variants after which a run was given up.
        runs: how many canaries were simulated.
    """

    decided: float
    median_treatment_requests: float | Insufficient
    mean_treatment_requests: float
    limit: InformationLimit
    horizon: int
    runs: int

    @property
    def efficiency(self) -> float:
        """The limit over the mean: 1 would be a test that cannot be bettered."""
        return self.limit.treatment_requests / self.mean_treatment_requests


def rollback_plan(
    control_rate: float,
    treatment_rate: float,
    share: float,
    *,
    test: RollbackTest,
    horizon: int,
    random: np.random.Generator,
    runs: int = 400,
) -> CanaryPlan | Insufficient:
    """How soon a treatment that is this much worse is rolled back.

    Args:
        control_rate: p_c in [0, 1].
        treatment_rate: p_t in [0, 1].
        share: w in (0, 1), constant.
        test: α, δ and the ticks.
        horizon: requests of both variants after which a run ends undecided.
        random: the source of randomness.
        runs: how many canaries to simulate.

    Returns:
        The plan, or `Insufficient` when the treatment is not worse by more than the margin.
    """
    limit = rollback_limit(control_rate, treatment_rate, share, alpha=test.alpha, margin=test.margin)
    if isinstance(limit, Insufficient):
        return limit
    traffic = IndependentUnits(np.full(horizon, share), control_rate, treatment_rate)
    return _simulated(test, traffic, limit, random, runs)


def promotion_plan(
    control_rate: float,
    treatment_rate: float,
    share: float,
    *,
    test: PromotionTest,
    horizon: int,
    random: np.random.Generator,
    runs: int = 400,
) -> CanaryPlan | Insufficient:
    """How soon a treatment that is not worse is promoted; requests are first requests. Arguments as above.

    Returns:
        The plan, or `Insufficient` when the treatment is worse by the margin or more.
    """
    limit = promotion_limit(control_rate, treatment_rate, share, alpha=test.alpha, margin=test.margin)
    if isinstance(limit, Insufficient):
        return limit
    traffic = IndependentUnits(np.full(horizon, share), control_rate, treatment_rate)
    return _simulated(test, traffic, limit, random, runs)


def _simulated(
    test: RollbackTest | PromotionTest,
    traffic: IndependentUnits,
    limit: InformationLimit,
    random: np.random.Generator,
    runs: int,
) -> CanaryPlan:
    horizon = len(traffic.shares)
    at_once = max(1, min(runs, _CELLS_AT_ONCE // horizon))
    sizes = [min(at_once, runs - first) for first in range(0, runs, at_once)]
    stops = [test.stops(traffic.draw(random, size)) for size in sizes]
    stopped = np.concatenate([stop.stopped for stop in stops])
    requests = np.concatenate([stop.treatment_requests for stop in stops])
    median = float(np.median(np.where(stopped, requests, np.inf)))
    unknown = Insufficient(f"fewer than half of {runs} runs were decided within {horizon} requests")
    return CanaryPlan(
        decided=float(stopped.mean()),
        median_treatment_requests=median if np.isfinite(median) else unknown,
        mean_treatment_requests=float(requests.mean()),
        limit=limit,
        horizon=horizon,
        runs=runs,
    )
