"""The simulated cluster-robust tests stop where the real ones would."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analytics.buckets import BucketSums
from analytics.characteristics.clusters import (
    BucketedNotWorseTest,
    BucketedSlowerTest,
    buckets_of,
    looks_of,
)
from analytics.characteristics.latencies import LatencyTraffic, LogNormalLatencies
from analytics.not_worse import NotWorse, cluster_robust_not_worse
from analytics.ramp import StepSums, over_ramp
from analytics.slower import Slower, cluster_robust_slower
from analytics.traffic import StickyUnits, Traffic

SHARES = np.repeat([0.1, 0.4], 2_000)


def sums_of(
    traffic: Traffic | LatencyTraffic, values: NDArray[np.generic], run: int, seen: int
) -> tuple[BucketSums, BucketSums]:
    """What would have been counted of the first requests, share by share."""
    units = None if traffic.units is None else traffic.units[run]
    buckets = buckets_of(units, len(traffic.shares))
    position = np.arange(len(traffic.shares))

    def counted(share: float, treated: bool) -> BucketSums:
        which = (traffic.shares == share) & (traffic.treated[run] == treated) & (position < seen)
        return BucketSums.from_rows(buckets[which], np.ones(which.sum()), values[run][which].astype(float))

    shares = np.unique(traffic.shares[:seen]).tolist()
    return over_ramp([StepSums(share, counted(share, True), counted(share, False)) for share in shares])


@pytest.mark.parametrize("requests_per_unit", [1, 8])
def test_promotions_stop_where_the_limit_is_below_the_margin(requests_per_unit: int) -> None:
    traffic = StickyUnits(SHARES, 0.1, 0.1, requests_per_unit, 0.2).draw(np.random.default_rng(21), 4)
    stops = BucketedNotWorseTest(0.2, 0.08).stops(traffic)
    assert stops.stopped.any()
    for run in range(4):
        expected = -1
        for seen in looks_of(len(SHARES)):
            treatment, control = sums_of(traffic, traffic.errors, run, seen)
            result = cluster_robust_not_worse(treatment, control, margin=0.08, alpha=0.2)
            if isinstance(result, NotWorse) and result.passes:
                expected = seen - 1
                break
        assert stops.positions[run] == expected


@pytest.mark.parametrize("requests_per_unit", [0, 8])
def test_rollbacks_stop_where_the_limit_is_above_zero(requests_per_unit: int) -> None:
    source = LogNormalLatencies(SHARES, 1.25, 1.0, requests_per_unit, 0.2)
    traffic = source.draw(np.random.default_rng(22), 4)
    stops = BucketedSlowerTest(0.2).stops(traffic)
    assert stops.stopped.any()
    for run in range(4):
        expected = -1
        for seen in looks_of(len(SHARES)):
            treatment, control = sums_of(traffic, traffic.logs, run, seen)
            result = cluster_robust_slower(treatment, control, alpha=0.2)
            if isinstance(result, Slower) and result.crossed:
                expected = seen - 1
                break
        assert stops.positions[run] == expected


def test_buckets_are_even_and_belong_to_the_unit() -> None:
    counts = np.bincount(buckets_of(None, 1_024 * 50), minlength=1_024)
    assert len(counts) == 1_024
    assert ((counts - 50.0) ** 2 / 50.0).sum() == pytest.approx(1_023, abs=5 * (2 * 1_023) ** 0.5)
    units = np.array([3, 7, 3, 3, 7], np.int32)
    first, other, *rest = buckets_of(units, 5).tolist()
    assert rest == [first, first, other]
