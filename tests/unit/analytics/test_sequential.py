"""The confidence sequences: known values, and how often they are ever wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.buckets import bucketed_rate
from analytics.comparison import Method, fixed_horizon
from analytics.estimates import Effect, Estimate
from analytics.results import Insufficient
from analytics.sequential import (
    boundary,
    log_always_valid_p,
    log_one_sided_p,
    one_sided_boundary,
    sequential,
)
from analytics.traffic import StickyUnits
from tests.unit.analytics.compared import done, means, rates
from tests.unit.analytics.heavy_users import bucket_sums_so_far

SIZES = st.floats(1.0, 1e9)
ALPHAS = st.floats(1e-6, 0.4)


def test_rates() -> None:
    result = done(sequential(*rates()))
    assert (result.lower, result.upper) == pytest.approx((-0.00346597, 0.01633726), abs=1e-8)
    assert result.p_value == pytest.approx(0.77362, abs=1e-6)
    assert result.method is Method.SEQUENTIAL


def test_means() -> None:
    result = done(sequential(*means()))
    assert (result.lower, result.upper) == pytest.approx((-0.10173755, 0.69991937), abs=1e-8)


def test_looking_always_costs_width() -> None:
    once, always = done(fixed_horizon(*rates())), done(sequential(*rates()))
    assert always.interval.width > once.interval.width
    assert always.p_value > once.p_value


def test_it_does_not_begin_before_the_variance_is_known() -> None:
    treatment, control = rates()
    early = sequential(replace(treatment, degrees=29.0), control)
    assert isinstance(early, Insufficient)
    assert early.reason.startswith("treatment: too few units so far")
    done(sequential(replace(treatment, degrees=30.0), control))


@given(n=SIZES, alpha=ALPHAS)
def test_p_equals_alpha_on_the_boundary(n: float, alpha: float) -> None:
    assert log_always_valid_p(boundary(n, alpha), n, alpha) == pytest.approx(math.log(alpha), abs=1e-9)
    assert log_one_sided_p(one_sided_boundary(n, alpha), n, alpha) == pytest.approx(math.log(alpha), abs=1e-7)


@given(n=SIZES, alpha=ALPHAS, z=st.floats(-50, 50), more=st.floats(0, 10))
def test_p_falls_as_the_effect_grows(n: float, alpha: float, z: float, more: float) -> None:
    assert log_one_sided_p(z + more, n, alpha) <= log_one_sided_p(z, n, alpha)
    assert log_always_valid_p(abs(z) + more, n, alpha) <= log_always_valid_p(-z, n, alpha)


@given(n=st.floats(1e3, 1e9), alpha=st.floats(1e-6, 0.1))
def test_one_side_is_nearer_than_two(n: float, alpha: float) -> None:
    assert one_sided_boundary(n, alpha) < boundary(n, alpha)


def test_the_boundary_is_lowest_where_it_is_tuned() -> None:
    sizes = np.array([500.0, 5_000.0, 50_000.0])
    relative = [boundary(n, 0.05, 5_000.0) / min(boundary(n, 0.05, tuned) for tuned in sizes) for n in sizes]
    assert relative[1] == 1.0
    assert relative[0] > 1.05
    assert relative[2] > 1.0


def test_far_out_the_logarithm_remains() -> None:
    assert -math.inf < log_one_sided_p(1e4, 1e6, 0.05) < -1e6


ESTIMATES = st.builds(
    Estimate,
    mean=st.floats(0.01, 10.0) | st.floats(-10.0, -0.01),
    variance=st.floats(1e-6, 1.0),
    sample_size=st.floats(100.0, 1e6),
    degrees=st.floats(30.0, 1e4),
)


@given(treatment=ESTIMATES, control=ESTIMATES, alpha=ALPHAS)
def test_a_relative_interval_holds_the_ratios_that_are_not_rejected(
    treatment: Estimate, control: Estimate, alpha: float
) -> None:
    """By the definition; and it excludes "no effect" exactly when the absolute one does."""
    absolute = done(sequential(treatment, control, alpha=alpha))
    relative = sequential(treatment, control, alpha=alpha, effect=Effect.RELATIVE)
    reach = boundary(absolute.sample_size, alpha)
    if isinstance(relative, Insufficient):
        assert abs(control.mean) <= reach * control.standard_error
        return
    assert relative.point == pytest.approx((treatment.mean - control.mean) / abs(control.mean))
    assert relative.log_p_value == absolute.log_p_value
    assert relative.lower <= relative.point <= relative.upper
    for limit in (relative.lower, relative.upper):
        ratio = 1.0 + math.copysign(1.0, control.mean) * limit
        distance = (treatment.mean - ratio * control.mean) ** 2
        error = reach**2 * (treatment.variance + ratio**2 * control.variance)
        assert distance == pytest.approx(error, rel=1e-6, abs=1e-9)
    if abs(absolute.point) != pytest.approx(reach * math.sqrt(treatment.variance + control.variance)):
        assert relative.significant == absolute.significant


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_a_one_sided_alpha_is_below_a_half(alpha: float) -> None:
    with pytest.raises(ValueError, match="one-sided"):
        one_sided_boundary(100.0, alpha)


def test_how_often_a_path_without_effect_ever_leaves() -> None:
    """2,000 paths of 20,000 samples, looked at after every one, with boundaries of both kinds of tuning."""
    alpha, runs, length = 0.05, 2_000, 20_000
    random = np.random.default_rng(7)
    sizes = np.arange(1.0, length + 1)
    two, one = (
        [
            np.array([of(n, alpha, tuned_for) for n in sizes]) * np.sqrt(sizes)
            for tuned_for in (200.0, 5_000.0)
        ]
        for of in (boundary, one_sided_boundary)
    )
    left, above = np.zeros(2), np.zeros(2)
    for _ in range(runs // 100):
        paths = random.standard_normal((100, length)).cumsum(axis=1)
        above += [(paths >= limit).any(axis=1).sum() for limit in one]
        distances = np.abs(paths, out=paths)
        left += [(distances >= limit).any(axis=1).sum() for limit in two]
    error = 4.0 * (alpha * (1.0 - alpha) / runs) ** 0.5
    for how_often in (*left, *above):
        assert 0.005 < how_often / runs <= alpha + error


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize(("rate", "per_unit", "correlation"), [(0.02, 1, 0.0), (0.1, 10, 0.3)])
def test_how_often_equal_variants_are_ever_told_apart(
    share: float, rate: float, per_unit: int, correlation: float
) -> None:
    """Error rates of units with heavy-tailed activity over 20,000 requests, looked at after every 500."""
    alpha, runs, random = 0.05, 150, np.random.default_rng(12)
    scenario = StickyUnits(np.full(20_000, share), rate, rate, per_unit, correlation)
    apart = 0
    for _ in range(runs):
        for treatment, control in bucket_sums_so_far(scenario, random, step=500):
            result = sequential(bucketed_rate(treatment), bucketed_rate(control), alpha=alpha)
            if not isinstance(result, Insufficient) and result.significant:
                apart += 1
                break
    assert apart / runs <= alpha + 4.0 * (alpha * (1.0 - alpha) / runs) ** 0.5
