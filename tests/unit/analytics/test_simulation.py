"""The simulated tests stop where the real ones would."""

from collections.abc import Callable

import numpy as np
import pytest

from analytics.columns import TickCounts
from analytics.evidence import Evidence, promotion_evidence, rollback_evidence
from analytics.results import Insufficient
from analytics.simulation import PromotionTest, RollbackTest, WindowedTest
from analytics.threshold import ThresholdResult, WindowCounts, windowed_rule
from analytics.traffic import Counting, Flags, StickyUnits, Traffic, counted_requests

REQUESTS_PER_TICK = 50
PLANNED_TICKS = 6
Judge = Callable[[list[TickCounts]], Evidence | Insufficient]


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """A treatment that is much worse for some units, over a ramp."""
    shares = np.repeat([0.1, 0.3, 0.5], 150)
    return StickyUnits(shares, 0.05, 0.25, 3.0, 0.2).draw(np.random.default_rng(6), 12)


def first_crossing(traffic: Traffic, counted: Flags, run: int, judge: Judge) -> int:
    """The first request after which the real function says that E has crossed, −1 for never."""
    counts = []
    for position in range(traffic.errors.shape[1]):
        error, treated = traffic.errors[run, position], traffic.treated[run, position]
        if counted[run, position]:
            share = float(traffic.shares[position])
            outcome = int(error and treated), int(error and not treated), int(not error)
            counts.append(TickCounts(position // REQUESTS_PER_TICK, share, *outcome))
            evidence = judge(counts)
            if isinstance(evidence, Evidence) and evidence.crossed:
                return position
    return -1


@pytest.mark.parametrize("counting", [Counting.EVERY_REQUEST, Counting.FIRST_ERRORS])
@pytest.mark.parametrize("margin", [0.0, 0.03])
def test_rollbacks_stop_where_the_evidence_crosses(
    traffic: Traffic, counting: Counting, margin: float
) -> None:
    test = RollbackTest(0.05, margin, REQUESTS_PER_TICK, PLANNED_TICKS)
    stops = test.stops(traffic, counting)
    counted = counted_requests(traffic, counting)
    options = {"first_tick": 0, "planned_ticks": PLANNED_TICKS}
    assert stops.stopped.any()
    for run in range(4):
        expected = first_crossing(
            traffic,
            counted,
            run,
            lambda counts: rollback_evidence(counts, alpha=0.05, margin=margin, **options),
        )
        assert stops.positions[run] == expected
        until = expected + 1 if expected >= 0 else None
        assert stops.treatment_requests[run] == traffic.treated[run, :until].sum()


def test_promotions_stop_where_the_evidence_crosses(traffic: Traffic) -> None:
    swapped = Traffic(traffic.shares, ~traffic.treated, traffic.errors, traffic.units)
    stops = PromotionTest(0.05, 0.1).stops(swapped, Counting.UNTIL_FIRST_ERROR)
    counted = counted_requests(swapped, Counting.UNTIL_FIRST_ERROR)
    assert stops.stopped.any()
    for run in range(4):
        expected = first_crossing(
            swapped, counted, run, lambda counts: promotion_evidence(counts, alpha=0.05, margin=0.1)
        )
        assert stops.positions[run] == expected


def test_windows_stop_where_the_rule_is_exceeded(traffic: Traffic) -> None:
    test = WindowedTest(minimum_requests=5, window_ticks=3, requests_per_tick=REQUESTS_PER_TICK)
    stops = test.stops(traffic)
    assert stops.stopped.any()
    for run in range(12):
        expected = -1
        for end in range(REQUESTS_PER_TICK, traffic.errors.shape[1] + 1, REQUESTS_PER_TICK):
            window = slice(max(0, end - 3 * REQUESTS_PER_TICK), end)
            treated, errors = traffic.treated[run, window], traffic.errors[run, window]
            result = windowed_rule(
                WindowCounts(int(treated.sum()), int((treated & errors).sum())),
                WindowCounts(int((~treated).sum()), int((~treated & errors).sum())),
                minimum_requests=5,
            )
            if isinstance(result, ThresholdResult) and result.exceeded:
                expected = end - 1
                break
        assert stops.positions[run] == expected


def test_traffic_without_an_error_never_stops() -> None:
    nothing = Traffic(np.full(100, 0.5), np.ones((2, 100), np.bool_), np.zeros((2, 100), np.bool_))
    stops = RollbackTest().stops(nothing)
    assert stops.rate == 0.0
    np.testing.assert_array_equal(stops.treatment_requests, [100, 100])


def test_the_reserve_of_a_tick_is_paid_before_its_first_request() -> None:
    """One treatment error at w = 5 % is worth 6.2 with all capital staked, and 5.2 with the reserve kept."""
    one_error = Traffic(np.full(1, 0.05), np.ones((1, 1), np.bool_), np.ones((1, 1), np.bool_))
    assert RollbackTest(alpha=1 / 5.8, planned_ticks=1).stops(one_error).rate == 1.0
    assert RollbackTest(alpha=1 / 5.8, planned_ticks=1000).stops(one_error).rate == 0.0
