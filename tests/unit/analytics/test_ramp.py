"""Bucket sums of a canary whose share was raised."""

import numpy as np
import pytest

from analytics.buckets import BucketSums, bucketed_mean
from analytics.estimates import Estimate
from analytics.ramp import StepSums, over_ramp
from tests.unit.analytics.compared import estimated

BUCKETS = 50


def step(share: float, rate: float, requests: int = 100_000) -> StepSums:
    """Exactly as many requests as the share says, all buckets alike but for a little."""
    shift = np.linspace(0.9, 1.1, BUCKETS)

    def sums(part: float) -> BucketSums:
        n = np.full(BUCKETS, part * requests / BUCKETS)
        return BucketSums.of(n, n * rate * shift, n * shift)

    return StepSums(share, sums(share), sums(1.0 - share))


def means(steps: list[StepSums]) -> tuple[Estimate, Estimate]:
    treatment, control = over_ramp(steps)
    return estimated(bucketed_mean(treatment)), estimated(bucketed_mean(control))


def test_what_hits_both_late_does_not_divide_them() -> None:
    steps = [step(0.05, 0.01), step(0.25, 0.01), step(0.5, 0.3)]
    treatment, control = means(steps)
    assert treatment.mean == pytest.approx(control.mean)
    plain_t = sum(s.treatment.total for s in steps) / sum(s.treatment.total_n for s in steps)
    plain_c = sum(s.control.total for s in steps) / sum(s.control.total_n for s in steps)
    assert plain_t > 1.3 * plain_c


def test_both_means_go_over_all_requests() -> None:
    steps = [step(0.05, 0.01, 300_000), step(0.5, 0.3, 100_000)]
    for estimate in means(steps):
        assert estimate.mean == pytest.approx((3 * 0.01 + 0.3) / 4)


def test_a_single_share_changes_nothing() -> None:
    only = step(0.25, 0.02)
    treatment, control = over_ramp([only, only])
    for weighted, plain in ((treatment, only.treatment), (control, only.control)):
        np.testing.assert_allclose(weighted.n, 2 * plain.n)
        np.testing.assert_allclose(weighted.s, 2 * plain.s)
        assert weighted.x is not None


def test_the_totals_stay_what_was_counted() -> None:
    treatment, control = over_ramp([step(0.05, 0.01), step(0.5, 0.3)])
    assert treatment.total_n == pytest.approx(55_000)
    assert control.total_n == pytest.approx(145_000)


def test_a_step_in_which_nothing_was_served_yet() -> None:
    nothing = BucketSums.of(np.zeros(3), np.zeros(3))
    treatment, control = over_ramp([StepSums(0.1, nothing, nothing)])
    assert (treatment.total_n, control.total_n) == (0.0, 0.0)


def test_what_compares_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no step"):
        over_ramp([])
    with pytest.raises(ValueError, match="compares nothing"):
        over_ramp([StepSums(1.0, step(0.5, 0.1).treatment, step(0.5, 0.1).control)])
