"""Estimates out of plain sums, and the contrast of two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.estimates import Contrast, Effect, Estimate, contrast
from analytics.results import Insufficient

MEANS = st.floats(-1e6, 1e6)
VARIANCES = st.floats(1e-6, 1e6)
ESTIMATES = st.builds(Estimate, MEANS, VARIANCES, st.floats(2, 1e9), st.floats(1, 1e9))


def contrasted(treatment: Estimate, control: Estimate, effect: Effect = Effect.ABSOLUTE) -> Contrast:
    found = contrast(treatment, control, effect)
    assert isinstance(found, Contrast)
    return found


@given(one=ESTIMATES, other=ESTIMATES)
def test_exchanging_the_variants_turns_the_sign(one: Estimate, other: Estimate) -> None:
    there, back = contrasted(one, other), contrasted(other, one)
    assert there.point == -back.point
    assert (there.variance, there.sample_size) == (back.variance, back.sample_size)
    assert there.degrees == pytest.approx(back.degrees)


@given(one=ESTIMATES, other=ESTIMATES)
def test_degrees_of_freedom_lie_between_the_smaller_and_the_sum(one: Estimate, other: Estimate) -> None:
    degrees = contrasted(one, other).degrees
    assert min(one.degrees, other.degrees) * (1 - 1e-9) <= degrees
    assert degrees <= (one.degrees + other.degrees) * (1 + 1e-9)


@given(scale=st.floats(1e-3, 1e3))
def test_a_relative_effect_has_no_unit(scale: float) -> None:
    found = contrasted(Estimate(11.0, 0.5, 90, 89), Estimate(10.0, 0.25, 100, 99), Effect.RELATIVE)
    scaled = contrasted(
        Estimate(11.0 * scale, 0.5 * scale**2, 90, 89),
        Estimate(10.0 * scale, 0.25 * scale**2, 100, 99),
        Effect.RELATIVE,
    )
    assert found.point == pytest.approx(0.1)
    assert found.variance == pytest.approx(0.5 / 100 + 0.25 * 1.1**2 / 100)
    assert (scaled.point, scaled.variance) == pytest.approx((found.point, found.variance))


def test_a_gain_over_a_negative_mean_is_positive() -> None:
    found = contrasted(Estimate(-2.0, 0.01, 10, 9), Estimate(-4.0, 0.01, 10, 9), Effect.RELATIVE)
    assert found.point == pytest.approx(0.5)


def test_relative_effects_are_relative_to_the_mean_before_an_adjustment() -> None:
    control = Estimate(9.0, 0.01, 10, 9, reference=10.0)
    assert contrasted(Estimate(10.0, 0.01, 10, 9), control, Effect.RELATIVE).point == pytest.approx(0.1)


@pytest.mark.parametrize("mean", [0.0, 0.1, -0.19])
def test_nothing_is_divided_by_a_mean_that_may_be_zero(mean: float) -> None:
    near_zero = Estimate(mean, 0.01, 10, 9)
    assert isinstance(contrast(Estimate(1.0, 0.01, 10, 9), near_zero, Effect.RELATIVE), Insufficient)
    assert isinstance(contrast(Estimate(1.0, 0.01, 10, 9), near_zero), Contrast)


def test_what_is_missing_stays_missing_and_says_where() -> None:
    some = Estimate(1.0, 0.01, 10, 9)
    assert contrast(some, Insufficient("no samples")) == Insufficient("control: no samples")
    assert contrast(Insufficient("no samples"), some) == Insufficient("treatment: no samples")
    constant = contrast(some, Estimate(0.0, 0.0, 500, 499))
    assert isinstance(constant, Insufficient)
    assert constant.reason.startswith("control")


@pytest.mark.parametrize(
    "bad", [(float("nan"), 1.0, 2, 1), (0.0, -1.0, 2, 1), (0.0, 1.0, 0, 1), (0.0, 1.0, 2, 0)]
)
def test_impossible_estimates_are_refused(bad: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="estimate"):
        Estimate(*bad)
