"""Scenarios of the rollback on error rates (α = .05 but where it says otherwise, no margin)."""

import numpy as np

from analytics.betting import Floats
from analytics.characteristics.contrast import RepeatedZTest
from analytics.characteristics.either import Counted
from analytics.characteristics.runs import AnyScenario, Policy, Scenario
from analytics.characteristics.summary import Claim
from analytics.eprocess import RESERVE
from analytics.information import InformationLimit, rollback_limit
from analytics.simulation import RollbackTest, WindowedTest
from analytics.traffic import Counting, IndependentUnits, StickyUnits, Traffic

ALPHA = 0.05
DEFAULT_ALPHA = 0.01
LOOKS = 20_000
_AT_DEFAULT = "rollback at its default of 1%"
PER_MINUTE = 600

Policies = tuple[Policy[Traffic], ...]


def _sequential(
    claim: Claim = Claim.FALSE_RATE,
    *,
    alpha: float = ALPHA,
    margin: float = 0.0,
    per_minute: int = PER_MINUTE,
    reserve: float = RESERVE,
    name: str = "rollback",
) -> Policy[Traffic]:
    """The rollback as it is shipped, on first errors, re-armed over a day."""
    test = RollbackTest(alpha, margin, per_minute, reserve=reserve)
    return Policy(name, Counted(test, Counting.FIRST_ERRORS), alpha, claim)


def _windowed(per_minute: int = PER_MINUTE, minimum_requests: int = 20) -> Policy[Traffic]:
    name = "windowed rule" if minimum_requests > 1 else "windowed rule, no minimum"
    test = WindowedTest(minimum_requests=minimum_requests, requests_per_tick=per_minute)
    return Policy(name, test, ALPHA)


_Z_TEST = Policy("repeated z-test", RepeatedZTest(), ALPHA)
_EVERY_REQUEST: Policy[Traffic] = Policy(
    "rollback, every request counted", Counted(RollbackTest(ALPHA), Counting.EVERY_REQUEST), ALPHA
)
_NOTHING_WRONG: Policies = (_sequential(), _windowed(), _Z_TEST)


def rollback_scenarios() -> list[AnyScenario]:
    """Everything the rollback on error rates is tried on."""
    return [
        *_alike(),
        *_alike_but_busy(),
        *_through_a_ramp(),
        *_windowed_rule(),
        *_late(),
        *_power(),
    ]


def _alike() -> list[AnyScenario]:
    """Treatment and control the same, every request its own unit, looked at after each of 20,000."""
    found: list[AnyScenario] = [
        Scenario(
            f"errors: alike at {rate:.0%}, share {share:.0%}",
            IndependentUnits(np.full(LOOKS, share), rate, rate),
            (*_NOTHING_WRONG, _sequential(alpha=DEFAULT_ALPHA, name=_AT_DEFAULT)),
            runs=6000,
        )
        for rate in (0.01, 0.05)
        for share in (0.05, 0.5)
    ]
    edge = IndependentUnits(np.full(5_000, 0.25), 0.02, 0.03)
    nothing = IndependentUnits(np.full(LOOKS, 0.05), 0.0, 0.0)
    return [
        *found,
        Scenario("errors: worse by the margin of 1%", edge, (_sequential(margin=0.01),)),
        Scenario("errors: none in either", nothing, _NOTHING_WRONG, runs=250, quick_runs=50),
    ]


def _alike_but_busy() -> list[AnyScenario]:
    """Treatment and control the same; units come back, with heavy-tailed activity."""
    policies = (*_NOTHING_WRONG, _EVERY_REQUEST)
    kinds = [("busy", 0.0, 10), ("busy", 0.0, 50), ("correlated", 0.5, 10), ("correlated", 0.5, 50)]
    found: list[AnyScenario] = [
        Scenario(
            f"errors: {kind} units, {per_unit} requests each, share {share:.0%}",
            StickyUnits(np.full(LOOKS, share), 0.05, 0.05, per_unit, correlation),
            policies,
        )
        for kind, correlation, per_unit in kinds
        for share in (0.05, 0.5)
    ]
    failing = StickyUnits(np.full(LOOKS, 0.5), 0.02, 0.02, 20, 0.95)
    edge = StickyUnits(np.full(LOOKS, 0.25), 0.05, 0.06, 10, 0.5)
    return [
        *found,
        Scenario("errors: units that keep failing, share 50%", failing, policies),
        Scenario("errors: correlated units, worse by the margin", edge, (_sequential(margin=0.01),)),
    ]


def _through_a_ramp() -> list[AnyScenario]:
    """5, 25, then 50 %, and an outage of both in the last step."""
    shares, steps = np.repeat([0.05, 0.25, 0.5], 6_000), np.arange(18_000) >= 12_000
    rates: Floats = np.where(steps, 0.1, 0.01)
    outage: Floats = np.where(steps, 0.3, 0.0)
    return [
        Scenario("errors: ramp and outage of both", IndependentUnits(shares, rates, rates), _NOTHING_WRONG),
        Scenario(
            "errors: ramp and outage of both, correlated units",
            StickyUnits(shares, 0.05, 0.05, 50, 0.5, outage_rates=outage),
            _NOTHING_WRONG,
        ),
    ]


def _windowed_rule() -> list[AnyScenario]:
    """What the windowed rule is known for: nothing is wrong, errors at 5 %."""
    settings = [
        (10, 0.05, 0.5, 4000, 300),
        (10, 0.05, 24.0, 300, 24),
        (1, 0.1, 0.5, 4000, 300),
        (1, 0.1, 24.0, 6000, 100),
    ]
    return [
        Scenario(
            f"errors: {hours:g} h at {per_second}/s, share {share:.0%}",
            IndependentUnits(np.full(round(3600 * per_second * hours), share), 0.05, 0.05),
            (
                _sequential(per_minute=60 * per_second),
                _windowed(60 * per_second),
                _windowed(60 * per_second, minimum_requests=1),
            ),
            runs=runs,
            quick_runs=quick_runs,
        )
        for per_second, share, hours, runs, quick_runs in settings
    ]


def _late() -> list[AnyScenario]:
    """Good for 10,000 requests, then bad; one request a second."""
    policies = (
        _sequential(per_minute=60),
        _sequential(per_minute=60, reserve=0.0, name="rollback, never re-armed"),
        _windowed(60),
        _Z_TEST,
    )
    found: list[AnyScenario] = []
    for rate in (0.05, 0.10):
        requests = 10_000 + round(600 / rate)
        rates: Floats = np.where(np.arange(requests) < 10_000, 0.01, rate)
        source = IndependentUnits(np.full(requests, 0.5), 0.01, rates)
        found.append(
            Scenario(
                f"errors: 1% to {rate:.0%} after 10,000 requests",
                source,
                policies,
                right_from=10_000,
                requests_per_nat=_per_nat(0.01, rate, 0.5),
            )
        )
    return found


def _power() -> list[AnyScenario]:
    """Worse from the start, control at 1 %; and one with a control that never fails."""
    lengths = {
        0.05: {0.02: 120_000, 0.05: 12_000, 0.1: 5_000, 0.5: 800},
        0.5: {0.02: 25_000, 0.05: 3_000, 0.1: 1_200, 0.5: 1_200},
    }
    found: list[AnyScenario] = []
    for share, of_share in lengths.items():
        for rate, requests in of_share.items():
            claimed = share == 0.05 and rate in {0.05, 0.1}
            claim = Claim.REQUESTS if claimed else Claim.NONE
            found.append(
                Scenario(
                    f"errors: 1% to {rate:.0%}, share {share:.0%}",
                    IndependentUnits(np.full(requests, share), 0.01, rate),
                    (
                        _sequential(claim),
                        _sequential(claim, reserve=0.0, name="rollback, never re-armed"),
                        _sequential(claim, alpha=DEFAULT_ALPHA, name=_AT_DEFAULT),
                        _windowed(),
                    ),
                    runs=1500 if requests > 50_000 else 6000,
                    quick_runs=150 if requests > 50_000 else 600,
                    right_from=0,
                    requests_per_nat=_per_nat(0.01, rate, share),
                )
            )
    never = Scenario(
        "errors: none to 5%, share 5%",
        IndependentUnits(np.full(8_000, 0.05), 0.0, 0.05),
        (_sequential(Claim.NONE), _windowed()),
        right_from=0,
        requests_per_nat=_per_nat(0.0, 0.05, 0.05),
    )
    return [*found, never]


def _per_nat(control_rate: float, treatment_rate: float, share: float) -> float:
    limit = rollback_limit(control_rate, treatment_rate, share, alpha=float(np.exp(-1.0)))
    if not isinstance(limit, InformationLimit):
        raise TypeError(limit.reason)
    return limit.treatment_requests
