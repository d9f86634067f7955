"""The rules that compare the rates of one window with a threshold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.results import Insufficient
from analytics.threshold import KillSwitch, Outage, ThresholdResult, WindowCounts, kill_switch, windowed_rule


def test_windows_add_up() -> None:
    assert WindowCounts(10, 1) + WindowCounts(20, 2) == WindowCounts(30, 3)


@pytest.mark.parametrize(("requests", "errors"), [(-1, 0), (1, 2), (1, -1)])
def test_impossible_windows_are_refused(requests: int, errors: int) -> None:
    with pytest.raises(ValueError, match="0 <= errors <= requests"):
        WindowCounts(requests, errors)


@pytest.mark.parametrize(
    ("treatment_errors", "exceeded"),
    [(0, False), (14, False), (15, False), (16, True), (100, True)],
)
def test_only_strictly_more_than_the_margin_exceeds(treatment_errors: int, exceeded: bool) -> None:
    result = windowed_rule(WindowCounts(100, treatment_errors), WindowCounts(1000, 100))
    assert isinstance(result, ThresholdResult)
    assert result.exceeded is exceeded
    assert result.control_rate == pytest.approx(0.1)
    assert result.difference == pytest.approx(treatment_errors / 100 - 0.1)


@given(control_errors=st.integers(0, 950), margin_points=st.integers(0, 50))
def test_a_difference_of_exactly_the_margin_never_exceeds(control_errors: int, margin_points: int) -> None:
    treatment = WindowCounts(1000, min(1000, control_errors + margin_points))
    result = windowed_rule(treatment, WindowCounts(1000, control_errors), margin=margin_points / 1000)
    assert isinstance(result, ThresholdResult)
    assert not result.exceeded


@pytest.mark.parametrize(("treatment", "control"), [(19, 100), (100, 19), (0, 0)])
def test_too_few_requests_are_insufficient(treatment: int, control: int) -> None:
    result = windowed_rule(WindowCounts(treatment, treatment), WindowCounts(control, 0))
    assert isinstance(result, Insufficient)
    assert "20 needed" in result.reason


@pytest.mark.parametrize(
    ("treatment", "control", "outage"),
    [
        ((20, 10), (100, 49), Outage.TREATMENT_DOWN),
        ((20, 20), (100, 50), Outage.BOTH_DOWN),
        ((20, 9), (100, 0), Outage.NEITHER),
        ((20, 9), (100, 100), Outage.NEITHER),
        ((20, 20), (19, 19), Outage.TREATMENT_DOWN),
        ((20, 20), (0, 0), Outage.TREATMENT_DOWN),
    ],
)
def test_who_is_down(treatment: tuple[int, int], control: tuple[int, int], outage: Outage) -> None:
    result = kill_switch(WindowCounts(*treatment), WindowCounts(*control))
    assert isinstance(result, KillSwitch)
    assert result.outage is outage
    assert isinstance(result.control_rate, Insufficient) == (control[0] < 20)


def test_a_treatment_with_too_few_requests_is_not_judged() -> None:
    assert isinstance(kill_switch(WindowCounts(19, 19), WindowCounts(1000, 0)), Insufficient)


@pytest.mark.parametrize("wrong", [{"margin": 1.0}, {"margin": -0.1}, {"minimum_requests": 0}])
def test_window_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        windowed_rule(WindowCounts(100, 1), WindowCounts(100, 1), **wrong)


@pytest.mark.parametrize("rate", [0.0, 1.1])
def test_a_kill_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        kill_switch(WindowCounts(100, 1), WindowCounts(100, 1), rate=rate)
