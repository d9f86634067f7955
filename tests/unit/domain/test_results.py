"""Rows of results: what no interval may claim."""

import pytest

from analytics.comparison import Comparison, Method
from analytics.estimates import Effect, Estimate
from services.domain.metric import BUILT_IN, Metric
from services.domain.results import SEQUENTIAL, Subject

NOTHING_FAILED = Estimate(0.0, 0.0, 1_914.0, 600.0)
SUBJECT = Subject("error_rate", "new")


def test_no_error_so_far_is_not_certainty() -> None:
    row = SUBJECT.mean(BUILT_IN["error_rate"], NOTHING_FAILED, SEQUENTIAL, 3.0, 0.05)
    assert (row.point, row.lower, row.level) == (0.0, 0.0, 0.95)
    assert row.upper == pytest.approx(9.0 / (601.0 + 9.0))


def test_a_mean_of_values_that_are_all_the_same_has_no_interval() -> None:
    row = SUBJECT.mean(BUILT_IN["cost"], Estimate(0.5, 0.0, 100.0, 50.0), SEQUENTIAL, 3.0, 0.05)
    assert (row.point, row.lower, row.upper, row.level) == (0.5, None, None, None)


@pytest.mark.parametrize(
    ("metric", "effect", "limits"),
    [
        (BUILT_IN["error_rate"], Effect.RELATIVE, (-1.0, 2.0)),
        (BUILT_IN["cost"], Effect.RELATIVE, (-1.0, 2.0)),
        (Metric(key="score", source="feedback:score"), Effect.RELATIVE, (-1.5, 2.0)),
        (BUILT_IN["error_rate"], Effect.ABSOLUTE, (-1.0, 1.0)),
        (BUILT_IN["cost"], Effect.ABSOLUTE, (-1.5, 2.0)),
    ],
)
def test_a_difference_is_none_that_cannot_be(
    metric: Metric, effect: Effect, limits: tuple[float, float]
) -> None:
    found = Comparison(0.1, -1.5, 2.0, -0.1, 0.95, Method.SEQUENTIAL, effect, 50.0)
    row = SUBJECT.comparison(metric, found, effect, Method.SEQUENTIAL)
    assert (row.lower, row.upper) == limits
