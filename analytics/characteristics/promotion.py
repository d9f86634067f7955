"""Scenarios of the promotion (α = .05, δ = .02): both tests at α/2, and what else could be counted."""

import numpy as np

from analytics.betting import Floats
from analytics.characteristics.clusters import BucketedNotWorseTest
from analytics.characteristics.either import Counted, Either
from analytics.characteristics.runs import AnyScenario, Policy, Scenario
from analytics.characteristics.summary import Claim
from analytics.information import InformationLimit, promotion_limit
from analytics.simulation import PromotionTest
from analytics.traffic import Counting, IndependentUnits, StickyUnits, Traffic

ALPHA, MARGIN = 0.05, 0.02
LOOKS = 20_000


def _both(claim: Claim = Claim.FALSE_RATE) -> Policy[Traffic]:
    """The promotion as it is shipped."""
    first = Counted(PromotionTest(ALPHA / 2, MARGIN), Counting.FIRST_REQUEST)
    return Policy("promotion", Either(first, BucketedNotWorseTest(ALPHA / 2, MARGIN)), ALPHA, claim)


def _first_requests(claim: Claim = Claim.FALSE_RATE) -> Policy[Traffic]:
    test = Counted(PromotionTest(ALPHA, MARGIN), Counting.FIRST_REQUEST)
    return Policy("promotion, first requests alone", test, ALPHA, claim)


_FIRST_ERRORS: Policy[Traffic] = Policy(
    "promotion, first errors counted", Counted(PromotionTest(ALPHA, MARGIN), Counting.FIRST_ERRORS), ALPHA
)
_UNTIL_FIRST_ERROR: Policy[Traffic] = Policy(
    "promotion, counted until the first error",
    Counted(PromotionTest(ALPHA, MARGIN), Counting.UNTIL_FIRST_ERROR),
    ALPHA,
)
_EVERY_REQUEST: Policy[Traffic] = Policy(
    "promotion, every request counted", Counted(PromotionTest(ALPHA, MARGIN), Counting.EVERY_REQUEST), ALPHA
)
_BUCKETS: Policy[Traffic] = Policy(
    "promotion, buckets alone", BucketedNotWorseTest(ALPHA, MARGIN), ALPHA, Claim.FALSE_RATE
)
_PLAIN_BUCKETS: Policy[Traffic] = Policy(
    "promotion, buckets not weighted by share",
    BucketedNotWorseTest(ALPHA, MARGIN, weighted=False),
    ALPHA,
)


def promotion_scenarios() -> list[AnyScenario]:
    """Everything the promotion is tried on."""
    return [*_worse(), *_worse_through_a_ramp(), *_as_good()]


def _worse() -> list[AnyScenario]:
    """Worse by exactly the margin: it should never be promoted."""
    every = (_both(), _BUCKETS, _FIRST_ERRORS, _UNTIL_FIRST_ERROR, _EVERY_REQUEST)
    kinds = [("busy", 10, 0.0), ("busy", 50, 0.0), ("correlated", 10, 0.5), ("correlated", 50, 0.5)]
    found: list[AnyScenario] = [
        Scenario(
            f"promotion: worse by the margin, share {share:.0%}",
            IndependentUnits(np.full(LOOKS, share), 0.02, 0.04),
            (_both(), _first_requests(), _BUCKETS),
        )
        for share in (0.05, 0.5)
    ]
    found += [
        Scenario(
            f"promotion: worse by the margin, {kind} units, {per_unit} requests each, share {share:.0%}",
            StickyUnits(np.full(LOOKS, share), 0.02, 0.04, per_unit, correlation),
            every,
        )
        for kind, per_unit, correlation in kinds
        for share in (0.05, 0.5)
    ]
    never = IndependentUnits(np.full(LOOKS, 0.05), 0.0, MARGIN)
    return [*found, Scenario("promotion: worse by the margin, control without errors", never, (_both(),))]


def _worse_through_a_ramp() -> list[AnyScenario]:
    """5, 25, then 50 %, with an outage of both that is over, or has begun, when the share is large."""
    shares = np.repeat([0.05, 0.25, 0.5], 6_000)
    found: list[AnyScenario] = []
    for when, outage in (("first", [0.2, 0.0, 0.0]), ("last", [0.0, 0.0, 0.2])):
        rates: Floats = np.repeat(outage, 6_000)
        # an outage hits the same fraction of both, which leaves a little less than the margin between them
        treatment_rate = 0.02 + MARGIN / 0.8
        found.append(
            Scenario(
                f"promotion: ramp, outage of both in the {when} step, correlated units",
                StickyUnits(shares, 0.02, treatment_rate, 10, 0.3, outage_rates=rates),
                (_both(), _PLAIN_BUCKETS),
            )
        )
    return found


def _as_good() -> list[AnyScenario]:
    """As good as the control, at 1 %."""
    found: list[AnyScenario] = []
    for share, requests in ((0.05, 50_000), (0.5, 6_000)):
        limit = promotion_limit(0.01, 0.01, share, alpha=float(np.exp(-1.0)), margin=MARGIN)
        if not isinstance(limit, InformationLimit):
            raise TypeError(limit.reason)
        found.append(
            Scenario(
                f"promotion: as good at 1%, share {share:.0%}",
                IndependentUnits(np.full(requests, share), 0.01, 0.01),
                (_both(Claim.NONE), _first_requests(Claim.NONE)),
                runs=2000,
                right_from=0,
                requests_per_nat=limit.treatment_requests,
            )
        )
    busy = StickyUnits(np.full(LOOKS, 0.5), 0.01, 0.01, 50, 0.05)
    policies = (_both(Claim.NONE), _first_requests(Claim.NONE))
    few = "promotion: as good at 1%, few busy units, share 50%"
    return [*found, Scenario(few, busy, policies, runs=2000, right_from=0)]
