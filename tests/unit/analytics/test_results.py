"""Results that are not plain numbers."""

import pytest

from analytics.results import Interval


def test_an_interval_holds_its_limits_and_what_lies_between() -> None:
    interval = Interval(-0.01, 0.03, 0.95)
    assert -0.01 in interval
    assert 0.03 in interval
    assert 0.031 not in interval
    assert interval.width == pytest.approx(0.04)


@pytest.mark.parametrize(
    "limits", [(1.0, 0.0, 0.95), (float("nan"), 1.0, 0.95), (0.0, 1.0, 0.0), (0.0, 1.0, 1.0)]
)
def test_an_impossible_interval_is_refused(limits: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="interval"):
        Interval(*limits)
