"""Power, units and detectable effects: against simulation, and against each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.comparison import Method
from analytics.estimates import Contrast, Effect, Estimate, contrast
from analytics.power import Design, mean_variance, proportion_variance, samples_to_decide
from analytics.results import Insufficient
from analytics.sequential import boundary
from tests.unit.analytics.compared import rates

METHODS = st.sampled_from(Method)


def needed(design: Design, effect: float, power: float = 0.8) -> float:
    units = design.units_needed(effect, power)
    assert isinstance(units, float)
    return units


def test_the_textbook_number_of_units() -> None:
    """10 % against 12 % at 80 %: 3,839 in each by the unpooled formula (1.95996 + .84162)²·v/Δ²."""
    design = Design(proportion_variance(0.12, 0.10, 0.5), method=Method.FIXED_HORIZON)
    assert needed(design, 0.02) == pytest.approx(2 * 3_838.1, rel=1e-3)


def test_the_variance_of_a_difference() -> None:
    assert mean_variance(4.0, 1.0, 0.2) == pytest.approx(4.0 / 0.2 + 1.0 / 0.8)
    assert proportion_variance(0.5, 0.0, 0.5) == pytest.approx(0.5)


@given(variance=st.floats(0.01, 100), effect=st.floats(0.01, 1), power=st.floats(0.2, 0.99), method=METHODS)
def test_units_and_detectable_effect_invert_the_power(
    variance: float, effect: float, power: float, method: Method
) -> None:
    design = Design(variance, method=method)
    units = needed(design, effect, power)
    if units <= 2.0:
        return
    assert design.power(effect, units) == pytest.approx(power, abs=1e-4)
    assert design.minimum_detectable_effect(units, power) == pytest.approx(effect, rel=1e-3)


@given(effect=st.floats(0.01, 1), units=st.floats(10, 1e5), more=st.floats(1.0, 3.0), method=METHODS)
def test_power_grows_with_units_and_effect(effect: float, units: float, more: float, method: Method) -> None:
    design = Design(1.0, method=method)
    assert design.power(effect, units * more) >= design.power(effect, units) - 1e-9
    assert design.power(effect * more, units) >= design.power(effect, units) - 1e-9
    assert design.power(-effect, units) == design.power(effect, units)


def test_looking_always_costs_units() -> None:
    always, once = Design(1.0), Design(1.0, method=Method.FIXED_HORIZON)
    ratio = needed(always, 0.05) / needed(once, 0.05)
    assert 1.2 < ratio < 3.0


@pytest.mark.parametrize(("effect", "units"), [(0.03, 5_000), (0.05, 5_000), (0.04, 10_000), (0.1, 1_500)])
def test_the_power_of_looking_always_against_simulation(effect: float, units: int) -> None:
    """The formula is a lower bound, by at most 3 points."""
    random, runs = np.random.default_rng(9), 2_000
    sizes = np.arange(1.0, units + 1)
    limit = np.array([boundary(n, 0.05) for n in sizes]) * np.sqrt(sizes)
    found = 0
    for _ in range(runs // 100):
        paths = (random.standard_normal((100, units)) + effect).cumsum(axis=1)
        found += int((np.abs(paths) >= limit).any(axis=1).sum())
    error = 4.0 * 0.5 / runs**0.5
    formula = Design(1.0).power(effect, units)
    assert formula - error <= found / runs <= formula + 0.03 + error


def test_the_power_of_one_look_against_simulation() -> None:
    random, runs, n = np.random.default_rng(10), 20_000, 400
    z = random.standard_normal(runs) + 0.15 * n**0.5
    found = float((np.abs(z) >= 1.959964).mean())
    assert Design(1.0, method=Method.FIXED_HORIZON).power(0.15, n) == pytest.approx(found, abs=0.015)


@pytest.mark.parametrize("method", Method)
def test_how_many_are_still_needed(method: Method) -> None:
    found = contrast(*rates())
    assert isinstance(found, Contrast)
    decide = samples_to_decide(found, method=method)
    assert not isinstance(decide, Insufficient)
    if method is Method.FIXED_HORIZON:  # it excludes 0 already
        assert decide.remaining == 0.0
        return
    assert decide.remaining == pytest.approx(decide.needed - found.sample_size)
    grown = found.variance * found.sample_size / decide.needed
    assert found.point == pytest.approx(boundary(decide.needed, 0.05) * grown**0.5, rel=1e-6)


def test_no_effect_is_never_found() -> None:
    assert isinstance(Design(1.0).units_needed(0.0), Insufficient)
    none = Contrast(0.0, 1.0, 100, 99, Effect.ABSOLUTE)
    assert isinstance(samples_to_decide(none), Insufficient)
    tiny = contrast(Estimate(1.0 + 1e-12, 1.0, 50, 49), Estimate(1.0, 1.0, 50, 49))
    assert isinstance(tiny, Contrast)
    assert isinstance(samples_to_decide(tiny), Insufficient)


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(ValueError, match="variance"):
        Design(0.0)
    with pytest.raises(ValueError, match="power"):
        Design(1.0).units_needed(0.1, power=0.01)
    with pytest.raises(ValueError, match="units"):
        Design(1.0).power(0.1, 0.0)
    with pytest.raises(ValueError, match="share"):
        mean_variance(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="rate"):
        proportion_variance(1.5, 0.1, 0.5)
