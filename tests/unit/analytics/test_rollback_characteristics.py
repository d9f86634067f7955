"""What the rollback does under continuous monitoring, against the reference figures (α = .05, p_c = 1 %)."""

from functools import partial

import numpy as np
import pytest

from analytics.betting import Floats
from analytics.information import InformationLimit, rollback_limit
from analytics.simulation import RollbackTest, Stops, WindowedTest
from analytics.traffic import Counting, IndependentUnits, StickyUnits, Traffic
from tests.unit.analytics.simulated import assert_at_most, assert_requests, measure

ALPHA = 0.05
NEVER_RE_ARMED = RollbackTest(ALPHA, reserve=0.0)
RE_ARMED = RollbackTest(ALPHA)  # 10 requests per second, a day planned


@pytest.mark.parametrize(
    ("share", "treatment_rate", "expected", "requests", "runs"),
    [
        (0.05, 0.02, 1148.0, 150_000, 750),
        (0.05, 0.05, 116.0, 15_000, 2000),
        (0.05, 0.10, 36.5, 5_000, 4000),
        (0.05, 0.50, 4.5, 1_000, 4000),
        (0.50, 0.02, 2203.0, 30_000, 2000),
        (0.50, 0.05, 245.0, 3_000, 4000),
        (0.50, 0.10, 87.0, 1_200, 4000),
        (0.50, 0.50, 13.0, 200, 4000),
    ],
)
def test_requests_to_alarm(
    share: float, treatment_rate: float, expected: float, requests: int, runs: int
) -> None:
    """The reference table was made without re-arming, which costs about 6 % more."""
    scenario = IndependentUnits(np.full(requests, share), 0.01, treatment_rate)
    measured = measure(scenario, NEVER_RE_ARMED.stops, runs=runs, seed=101)
    assert_requests(measured, expected)
    limit = rollback_limit(0.01, treatment_rate, share, alpha=ALPHA)
    assert isinstance(limit, InformationLimit)
    assert measured.treatment_requests.mean() > limit.treatment_requests


def test_re_arming_costs_little_when_the_defect_is_there_from_the_start() -> None:
    scenario = IndependentUnits(np.full(15_000, 0.05), 0.01, 0.05)
    without = measure(scenario, NEVER_RE_ARMED.stops, runs=2000, seed=102).treatment_requests
    extra = measure(scenario, RE_ARMED.stops, runs=2000, seed=102).treatment_requests - without
    error = 4.0 * extra.std() / len(extra) ** 0.5
    assert extra.mean() / without.mean() == pytest.approx(0.06, abs=error / without.mean() + 0.01)


@pytest.mark.parametrize("rate", [0.01, 0.05])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_false_alarms_looking_after_each_of_20_000_requests(share: float, rate: float) -> None:
    scenario = IndependentUnits(np.full(20_000, share), rate, rate)
    without = measure(scenario, NEVER_RE_ARMED.stops, runs=1000, seed=103)
    assert_at_most(without, ALPHA)
    assert 0.024 - without.rate_error <= without.rate <= 0.042 + without.rate_error
    assert_at_most(measure(scenario, RE_ARMED.stops, runs=1000, seed=103), ALPHA)


def test_false_alarms_with_a_margin_at_its_edge() -> None:
    scenario = IndependentUnits(np.full(5_000, 0.25), 0.02, 0.03)
    assert_at_most(measure(scenario, RollbackTest(ALPHA, margin=0.01).stops, runs=750, seed=104), ALPHA)


def test_a_control_without_errors_is_no_obstacle() -> None:
    """At this share two treatment errors and nothing else are worth 50: after 2/0.05 requests on average."""
    scenario = IndependentUnits(np.full(8_000, 0.05), 0.0, 0.05)
    measured = measure(scenario, RE_ARMED.stops, runs=1000, seed=105)
    assert measured.rate == 1.0
    error = measured.mean_error(measured.treatment_requests)
    assert measured.treatment_requests.mean() == pytest.approx(40.0, abs=error)


def pooled_z_test(traffic: Traffic) -> Stops:
    """The two-sided z-test on pooled counts, looked at every 60 requests: what people do."""
    looks = slice(59, None, 60)
    n_t = traffic.treated.cumsum(axis=1)[:, looks].astype(np.float64)
    n_c = (~traffic.treated).cumsum(axis=1)[:, looks].astype(np.float64)
    x_t = (traffic.treated & traffic.errors).cumsum(axis=1)[:, looks]
    x_c = (~traffic.treated & traffic.errors).cumsum(axis=1)[:, looks]
    pooled = (x_t + x_c) / (n_t + n_c)
    variance = pooled * (1.0 - pooled) * (n_t + n_c)
    # z² = (x_t/n_t − x_c/n_c)² / (p(1−p)(1/n_t + 1/n_c)), multiplied out
    fired = (x_t * n_c - x_c * n_t > 0.0) & ((x_t * n_c - x_c * n_t) ** 2 > 1.96**2 * variance * n_t * n_c)
    positions = np.where(fired.any(axis=1), fired.argmax(axis=1) * 60 + 59, -1)
    return Stops(positions, traffic.treated.sum(axis=1))


@pytest.mark.parametrize("outage_rate", [0.1, 0.5])
def test_a_ramp_and_an_outage_of_both_is_not_the_treatments_fault(outage_rate: float) -> None:
    """Simpson: the treatment got half of the traffic just when everything failed."""
    shares = np.repeat([0.05, 0.25, 0.5], 5_000)
    rates: Floats = np.where(np.arange(15_000) >= 10_000, outage_rate, 0.01)
    scenario = IndependentUnits(shares, rates, rates)
    measured = measure(scenario, RE_ARMED.stops, runs=1000, seed=106)
    assert_at_most(measured, ALPHA)
    assert abs(measured.rate - 0.03) <= measured.rate_error
    assert measure(scenario, pooled_z_test, runs=250, seed=106).rate > 0.73


@pytest.mark.parametrize("treatment_rate", [0.05, 0.10])
def test_a_late_regression_is_found_sooner_with_re_arming(treatment_rate: float) -> None:
    """Good for 10,000 requests, then bad; 60 requests a minute, so that a tenth of the plan has passed."""
    requests = 10_000 + round(6_000 * 0.05 / treatment_rate)
    rates: Floats = np.where(np.arange(requests) < 10_000, 0.01, treatment_rate)
    scenario = IndependentUnits(np.full(requests, 0.5), 0.01, rates)
    one = measure(scenario, NEVER_RE_ARMED.stops, runs=500, seed=107)
    other = measure(scenario, RollbackTest(ALPHA, requests_per_tick=60).stops, runs=500, seed=107)
    late = (one.positions >= 10_000) & (other.positions >= 10_000)
    assert late.mean() > 0.9
    delays = one.positions[late] - 10_000, other.positions[late] - 10_000
    assert 1.4 < delays[0].mean() / delays[1].mean() < 2.0


@pytest.mark.parametrize("margin", [0.0, 0.01])
@pytest.mark.parametrize(
    ("share", "rate", "requests_per_unit"), [(0.05, 0.05, 50), (0.5, 0.01, 10), (0.5, 0.05, 50)]
)
def test_first_errors_are_valid_for_sticky_units(
    share: float, rate: float, requests_per_unit: int, margin: float
) -> None:
    shares = np.full(20_000, share)
    scenario = StickyUnits(shares, rate, rate + margin, requests_per_unit, correlation=0.5)
    test = RollbackTest(ALPHA, margin)
    measured = measure(scenario, partial(test.stops, counting=Counting.FIRST_ERRORS), runs=250, seed=108)
    assert_at_most(measured, ALPHA)


@pytest.mark.parametrize("outage_rate", [0.0, 0.3])
def test_first_errors_are_valid_for_sticky_units_through_a_ramp(outage_rate: float) -> None:
    shares = np.repeat([0.05, 0.25, 0.5], 6_000)
    outage: Floats = np.where(np.arange(18_000) >= 12_000, outage_rate, 0.0)
    scenario = StickyUnits(shares, 0.05, 0.05, 50, correlation=0.5, outage_rates=outage)
    measured = measure(scenario, partial(RE_ARMED.stops, counting=Counting.FIRST_ERRORS), runs=500, seed=109)
    assert_at_most(measured, ALPHA)


def test_every_request_of_sticky_units_gives_false_alarms() -> None:
    """The reference says 35–64 %; half of all traffic at 50 requests a unit is among its settings."""
    scenario = StickyUnits(np.full(20_000, 0.5), 0.05, 0.05, 50, correlation=0.5)
    measured = measure(scenario, partial(RE_ARMED.stops, counting=Counting.EVERY_REQUEST), runs=500, seed=110)
    assert 0.35 - measured.rate_error <= measured.rate <= 0.64 + measured.rate_error


def test_first_errors_have_more_power_than_first_requests() -> None:
    scenario = StickyUnits(np.full(20_000, 0.05), 0.01, 0.04, 10, correlation=0.1)
    of_errors, of_requests = (
        measure(scenario, partial(RE_ARMED.stops, counting=rule), runs=250, seed=111).rate
        for rule in (Counting.FIRST_ERRORS, Counting.FIRST_REQUEST)
    )
    assert of_errors > 0.8
    assert of_requests < 0.5


def test_first_errors_blame_a_treatment_that_fails_as_often_but_hits_more_units() -> None:
    """Not a false alarm: what is compared is how many units meet an error, and that has grown."""

    class SpreadOut(StickyUnits):
        """The control's errors come from few units; the treatment's, as many, from all of them."""

        def draw(self, random: np.random.Generator, runs: int) -> Traffic:
            drawn = super().draw(random, runs)
            spread = random.random(drawn.errors.shape) < self.treatment_rate
            return Traffic(
                drawn.shares, drawn.treated, np.where(drawn.treated, spread, drawn.errors), drawn.units
            )

    scenario = SpreadOut(np.full(20_000, 0.5), 0.05, 0.05, 10, correlation=0.5)
    measured = measure(scenario, partial(RE_ARMED.stops, counting=Counting.FIRST_ERRORS), runs=100, seed=112)
    assert measured.rate > 0.9


@pytest.mark.parametrize(
    ("requests_per_second", "share", "hours", "runs", "expected"),
    [
        (10, 0.05, 0.5, 2000, 0.145),
        (10, 0.05, 24.0, 100, 0.30),
        (1, 0.1, 0.5, 2000, 0.59),
        (1, 0.1, 24.0, 100, 1.0),
    ],
)
def test_the_windowed_rule_raises_false_alarms(
    requests_per_second: int, share: float, hours: float, runs: int, expected: float
) -> None:
    """The reference asks for no minimum number of requests."""
    scenario = IndependentUnits(np.full(round(3600 * requests_per_second * hours), share), 0.05, 0.05)
    test = WindowedTest(minimum_requests=1, requests_per_tick=60 * requests_per_second)
    measured = measure(scenario, test.stops, runs=runs, seed=113)
    assert abs(measured.rate - expected) <= measured.rate_error + 0.01


@pytest.mark.parametrize(("share", "missed"), [(0.05, 0.89), (0.5, 1.0)])
def test_the_windowed_rule_misses_a_doubled_error_rate(share: float, missed: float) -> None:
    scenario = IndependentUnits(np.full(72_000, share), 0.01, 0.02)
    measured = measure(scenario, WindowedTest().stops, runs=500, seed=114)
    assert abs(1.0 - measured.rate - missed) <= measured.rate_error + 0.01
