"""Welch's t against known results, and where numbers run out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from analytics.comparison import Method, fixed_horizon, log_two_sided_t
from analytics.estimates import Effect, Estimate
from analytics.proportions import EventCounts, proportion
from analytics.results import Insufficient
from tests.unit.analytics.compared import done, means, rates


def test_rates_absolute() -> None:
    result = done(fixed_horizon(*rates()))
    assert result.point == pytest.approx(0.00643564, abs=1e-8)
    assert (result.lower, result.upper) == pytest.approx((0.00023040, 0.01264089), abs=1e-8)
    assert result.p_value == pytest.approx(0.04207987, abs=1e-8)
    assert (result.level, result.method, result.sample_size) == (0.95, Method.FIXED_HORIZON, 20_100)
    assert result.significant


def test_rates_relative() -> None:
    result = done(fixed_horizon(*rates(), effect=Effect.RELATIVE))
    assert result.point == pytest.approx(0.12871287, abs=1e-8)
    assert (result.lower, result.upper) == pytest.approx((-0.00320406, 0.26062981), abs=1e-8)
    assert not result.significant


def test_means_absolute() -> None:
    result = done(fixed_horizon(*means()))
    assert result.point == pytest.approx(0.29909091, abs=1e-8)
    assert (result.lower, result.upper) == pytest.approx((0.04663799, 0.55154383), abs=1e-8)
    assert result.p_value == pytest.approx(0.02025366, abs=1e-8)


@given(
    mean=st.floats(-10, 10),
    variance=st.floats(0.01, 10),
    degrees=st.floats(2, 1e6),
    scale=st.floats(0.01, 100),
)
def test_the_unit_does_not_matter(mean: float, variance: float, degrees: float, scale: float) -> None:
    control = Estimate(1.0, 0.5, 50, 49)
    plain = done(fixed_horizon(Estimate(mean, variance, 100, degrees), control))
    scaled = done(
        fixed_horizon(
            Estimate(mean * scale, variance * scale**2, 100, degrees),
            Estimate(scale, 0.5 * scale**2, 50, 49),
        )
    )
    assert scaled.log_p_value == pytest.approx(plain.log_p_value, rel=1e-9, abs=1e-9)
    assert (scaled.lower, scaled.upper) == pytest.approx(
        (plain.lower * scale, plain.upper * scale), abs=1e-9 * scale * 100
    )


@given(alpha=st.floats(0.001, 0.5), mean=st.floats(-5, 5))
def test_p_is_below_alpha_exactly_where_the_interval_leaves_zero_out(alpha: float, mean: float) -> None:
    result = done(fixed_horizon(Estimate(mean, 1.0, 20, 19), Estimate(0.0, 0.5, 20, 19), alpha=alpha))
    if abs(result.p_value - alpha) > 1e-9:
        assert result.significant == (result.p_value < alpha)


@pytest.mark.parametrize(("statistic", "degrees"), [(30.0, 50.0), (5.0, 20.0), (20.0, 1e3), (37.0, 1e6)])
def test_the_logarithm_of_the_tail(statistic: float, degrees: float) -> None:
    direct = math.log(2.0) + math.log(student.sf(statistic, degrees))
    assert log_two_sided_t(statistic, degrees) == pytest.approx(direct, rel=1e-12)


@pytest.mark.parametrize("degrees", [30.0, 1e3, 1e5, 1e7])
def test_the_tail_continues_where_floats_end(degrees: float) -> None:
    """The series meets the direct value at the edge, and goes on falling evenly beyond it."""
    edge = float(student.isf(1e-289, degrees))
    inside, outside = (log_two_sided_t(edge * factor, degrees) for factor in (0.9999, 1.02))
    slope = (log_two_sided_t(edge * 0.9999, degrees) - log_two_sided_t(edge * 0.9998, degrees)) / 1e-4
    assert outside == pytest.approx(inside + slope * 0.0201, rel=1e-2)
    assert -math.inf < log_two_sided_t(1e4 * edge, degrees) < log_two_sided_t(2.0 * edge, degrees) < outside


def test_with_many_degrees_the_tail_is_normal() -> None:
    assert log_two_sided_t(60.0, 1e12) == pytest.approx(math.log(2.0) + norm.logsf(60.0), rel=1e-6)


def test_a_p_value_does_not_underflow() -> None:
    result = done(fixed_horizon(Estimate(100.0, 1e-4, 10_000, 9_999), Estimate(0.0, 1e-4, 10_000, 9_999)))
    assert result.log_p_value < -10_000.0
    assert result.p_value > 0.0


def test_a_control_without_events_has_no_normal_result() -> None:
    result = fixed_horizon(proportion(EventCounts(500, 40)), proportion(EventCounts(500, 0)))
    assert isinstance(result, Insufficient)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        fixed_horizon(*rates(), alpha=alpha)
