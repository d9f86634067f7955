"""Scenarios of the latency guardrail (α = .05): both tests at α/2; and of intervals of bucketed means."""

import math

import numpy as np

from analytics.betting import Floats
from analytics.characteristics.clusters import BucketedSlowerTest
from analytics.characteristics.either import Either
from analytics.characteristics.intervals import MissedByInterval
from analytics.characteristics.latencies import (
    LatencyTest,
    LatencyTraffic,
    LogNormalLatencies,
    lognormal_limit,
)
from analytics.characteristics.runs import AnyScenario, Policy, Scenario
from analytics.characteristics.summary import Claim
from analytics.traffic import Counting

ALPHA = 0.05
LOOKS = 20_000


def _both(claim: Claim = Claim.FALSE_RATE, per_minute: int = 600) -> Policy[LatencyTraffic]:
    """The guardrail as it is shipped."""
    first = LatencyTest(ALPHA / 2, requests_per_tick=per_minute)
    return Policy("latency", Either(first, BucketedSlowerTest(ALPHA / 2)), ALPHA, claim)


def _first_requests(claim: Claim = Claim.FALSE_RATE) -> Policy[LatencyTraffic]:
    return Policy("latency, first requests alone", LatencyTest(ALPHA), ALPHA, claim)


def _never_re_armed(per_minute: int = 600) -> Policy[LatencyTraffic]:
    test = LatencyTest(ALPHA, requests_per_tick=per_minute, reserve=0.0)
    return Policy("latency, first requests alone, never re-armed", test, ALPHA)


_BUCKETS = Policy("latency, buckets alone", BucketedSlowerTest(ALPHA), ALPHA, Claim.FALSE_RATE)
_PLAIN_BUCKETS = Policy(
    "latency, buckets not weighted by share", BucketedSlowerTest(ALPHA, weighted=False), ALPHA
)
_EVERY_REQUEST = Policy("latency, every request counted", LatencyTest(ALPHA, Counting.EVERY_REQUEST), ALPHA)


def latency_scenarios() -> list[AnyScenario]:
    """Everything the latency guardrail is tried on."""
    return [*_alike(), *_through_a_ramp(), *_late(), *_slower()]


def interval_scenarios() -> list[AnyScenario]:
    """Heavy users, latencies of one unit alike: how often a 95 % interval misses the truth."""
    return [
        _interval(2),
        _interval(5),
        _interval(5, slower=1.25),
        _interval(5, correlation=0.8),
        _interval(50),
        _interval(50, share=0.05),
        _interval(5, share=0.05),
        _interval(5, tail=1.2),
        _interval(50, tail=1.2),
        _interval(50, tail=1.2, share=0.05),
    ]


def _interval(
    per_unit: int, correlation: float = 0.3, slower: float = 1.0, tail: float = 1.5, share: float = 0.5
) -> AnyScenario:
    truth = math.log(slower)
    name = f"intervals: ×{slower:g}, {per_unit} requests a unit, correlation {correlation:g}"
    name += f", Pareto exponent {tail:g}" if tail != 1.5 else ""
    name += f", share {share:.0%}" if share != 0.5 else ""
    return Scenario(
        name,
        LogNormalLatencies(np.full(LOOKS, share), slower, 1.0, per_unit, correlation, tail),
        (
            Policy("95% interval, buckets", MissedByInterval(truth), ALPHA, Claim.COVERAGE),
            Policy("95% interval, requests", MissedByInterval(truth, buckets=False), ALPHA),
        ),
        quick_runs=500,
    )


def _alike() -> list[AnyScenario]:
    each, every = (_both(), _first_requests(), _BUCKETS), (_both(), _EVERY_REQUEST)
    kinds = [("busy", 10, 0.0), ("busy", 50, 0.0), ("correlated", 10, 0.3), ("correlated", 50, 0.3)]
    found: list[AnyScenario] = [
        Scenario(f"latency: alike, share {share:.0%}", LogNormalLatencies(np.full(LOOKS, share)), each)
        for share in (0.05, 0.5)
    ]
    found += [
        Scenario(
            f"latency: {kind} units, {per_unit} requests each, share {share:.0%}",
            LogNormalLatencies(np.full(LOOKS, share), 1.0, 1.0, per_unit, correlation),
            every,
        )
        for kind, per_unit, correlation in kinds
        for share in (0.05, 0.5)
    ]
    return found


def _through_a_ramp() -> list[AnyScenario]:
    """5, 25, then 50 %, and in the last step everybody takes three times as long."""
    shares, everybody = np.repeat([0.05, 0.25, 0.5], 6_000), np.repeat([1.0, 1.0, 3.0], 6_000)
    policies = (_both(), _PLAIN_BUCKETS)
    own = LogNormalLatencies(shares, 1.0, everybody)
    shared = LogNormalLatencies(shares, 1.0, everybody, 50, 0.3)
    return [
        Scenario("latency: ramp and slowdown of both", own, policies),
        Scenario("latency: ramp and slowdown of both, correlated units", shared, policies),
    ]


def _late() -> list[AnyScenario]:
    """As fast for 10,000 requests, then half as slow again; one request a second."""
    slower: Floats = np.where(np.arange(14_000) < 10_000, 1.0, 1.5)
    late = Scenario(
        "latency: ×1.5 after 10,000 requests",
        LogNormalLatencies(np.full(14_000, 0.5), slower),
        (_both(per_minute=60), _never_re_armed(60)),
        runs=2000,
        right_from=10_000,
        requests_per_nat=_per_nat(1.5, 0.5),
    )
    return [late]


def _slower() -> list[AnyScenario]:
    """Slower from the start; and slower where units are few and busy."""
    lengths = {0.05: {1.25: 30_000, 1.5: 8_000, 2.0: 3_000}, 0.5: {1.25: 5_000, 1.5: 1_500, 2.0: 600}}
    found: list[AnyScenario] = [
        Scenario(
            f"latency: ×{slower:g}, share {share:.0%}",
            LogNormalLatencies(np.full(requests, share), slower),
            (_both(Claim.NONE), _first_requests(Claim.NONE), _never_re_armed()),
            right_from=0,
            requests_per_nat=_per_nat(slower, share),
        )
        for share, of_share in lengths.items()
        for slower, requests in of_share.items()
    ]
    few = LogNormalLatencies(np.full(LOOKS, 0.5), 1.5, 1.0, 50, 0.3)
    policies = (_both(Claim.NONE), _first_requests(Claim.NONE))
    return [*found, Scenario("latency: ×1.5, few busy units, share 50%", few, policies, right_from=0)]


def _per_nat(slower: float, share: float) -> float:
    return lognormal_limit(slower, share, alpha=math.exp(-1.0))
