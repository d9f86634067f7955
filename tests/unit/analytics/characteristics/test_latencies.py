"""Simulated latencies, and that the simulated test stops where the real one would."""

import numpy as np
import pytest

from analytics.characteristics.latencies import (
    SPREAD,
    LatencyTest,
    LatencyTraffic,
    LogNormalLatencies,
    lognormal_limit,
)
from analytics.latency import (
    LEVELS,
    NO_OBSERVATIONS,
    Bins,
    LatencyCounts,
    LatencyEvidence,
    bin_of,
    latency_evidence,
)
from analytics.traffic import Counting

PER_TICK = 40


def one(bin_: int) -> Bins:
    counts = [0] * 6
    counts[bin_] = 1
    return counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]


def first_crossing(traffic: LatencyTraffic, run: int) -> int:
    """The first request after which the real function says that E has crossed, −1 for never."""
    rows: list[LatencyCounts] = []
    seen: set[int] = set()
    window = traffic.before[run]
    for position, share in enumerate(traffic.shares):
        tick = position // PER_TICK
        if position and position % PER_TICK == 0:
            last = slice(position - PER_TICK, position)
            window = traffic.logs[run, last][~traffic.treated[run, last]]
        if traffic.units is not None:
            if int(traffic.units[run, position]) in seen:
                continue
            seen.add(int(traffic.units[run, position]))
        quantiles = [float(np.quantile(window, level, method="inverted_cdf")) for level in LEVELS]
        which = one(bin_of(float(traffic.logs[run, position]), quantiles))
        mine, others = (
            (which, NO_OBSERVATIONS) if traffic.treated[run, position] else (NO_OBSERVATIONS, which)
        )
        rows.append(LatencyCounts(tick, float(share), mine, others))
        evidence = latency_evidence(rows, first_tick=0, planned_ticks=6, alpha=0.05)
        if isinstance(evidence, LatencyEvidence) and evidence.crossed:
            return position
    return -1


@pytest.mark.parametrize("requests_per_unit", [0, 3])
def test_it_stops_where_the_evidence_crosses(requests_per_unit: int) -> None:
    shares = np.repeat([0.1, 0.3, 0.5], 120)
    source = LogNormalLatencies(shares, 2.5, 1.0, requests_per_unit, 0.3 * (requests_per_unit > 0), before=60)
    traffic = source.draw(np.random.default_rng(8), 6)
    stops = LatencyTest(requests_per_tick=PER_TICK, planned_ticks=6).stops(traffic)
    assert stops.stopped.any()
    for run in range(4):
        assert stops.positions[run] == first_crossing(traffic, run)


def test_latencies_are_as_described() -> None:
    shares, everybody = np.full(2_000, 0.5), np.repeat([1.0, 3.0], 1_000)
    traffic = LogNormalLatencies(shares, 1.5, everybody).draw(np.random.default_rng(9), 100)
    for half, shift in ((slice(0, 1_000), 0.0), (slice(1_000, 2_000), np.log(3.0))):
        logs, treated = traffic.logs[:, half], traffic.treated[:, half]
        assert logs[~treated].mean() == pytest.approx(shift, abs=0.015)
        assert logs[treated].mean() == pytest.approx(shift + np.log(1.5), abs=0.015)
        assert logs[~treated].std() == pytest.approx(SPREAD, abs=0.015)


def test_latencies_of_a_unit_are_correlated_as_stated() -> None:
    source = LogNormalLatencies(np.full(4_000, 0.5), requests_per_unit=4, correlation=0.3, activity_tail=5.0)
    traffic = source.draw(np.random.default_rng(10), 40)
    assert traffic.units is not None
    products = []
    for units, logs in zip(traffic.units, traffic.logs, strict=True):
        order = np.argsort(units, kind="stable")
        same = np.diff(units[order]) == 0
        first_of_pair = same & ~np.concatenate([[False], same[:-1]])
        products.append((logs[order][:-1] * logs[order][1:])[first_of_pair])
    assert np.concatenate(products).mean() / SPREAD**2 == pytest.approx(0.3, abs=0.03)


def test_counting_every_request_of_correlated_units_is_wrong() -> None:
    source = LogNormalLatencies(np.full(5_000, 0.5), requests_per_unit=50, correlation=0.3)
    traffic = source.draw(np.random.default_rng(11), 200)
    assert LatencyTest().stops(traffic).rate <= 0.05
    assert LatencyTest(counting=Counting.EVERY_REQUEST).stops(traffic).rate > 0.15


@pytest.mark.parametrize(("slower", "limit"), [(1.25, 81.0), (1.5, 25.0), (2.0, 8.6)])
def test_the_limit(slower: float, limit: float) -> None:
    """The reference figures are 81, 25 and 8; they are whole numbers."""
    assert lognormal_limit(slower, 0.05, alpha=0.05) == pytest.approx(limit, rel=0.02)


def test_the_limit_follows_the_shift_where_it_is_small() -> None:
    """To second order the mutual information is w(1−w)(log(slower)/σ)²/2."""
    information = 0.2 * 0.8 * (np.log(1.01) / SPREAD) ** 2 / 2
    assert lognormal_limit(1.01, 0.2, alpha=0.05) == pytest.approx(0.2 * np.log(20.0) / information, rel=1e-3)
