"""Judging the runs of a policy."""

from typing import Any

import numpy as np
import pytest

from analytics.characteristics.summary import (
    Characteristic,
    Claim,
    Outcome,
    lower_bound,
    summarised,
    upper_bound,
)


def row(stopped: list[int], requests: list[float] | None = None, **options: Any) -> Characteristic:
    given: dict[str, Any] = {"alpha": 0.05, "right_from": None, "limit_requests": None, "seed": 1}
    outcome = Outcome(np.array(stopped), np.array(requests or [10.0] * len(stopped)))
    return summarised(outcome, scenario="s", policy="p", **(given | {"claim": Claim.FALSE_RATE} | options))


def test_every_stop_of_a_harmless_canary_is_wrong() -> None:
    found = row([-1] * 97 + [5] * 3)
    assert (found.stopped, found.false_rate, found.holds) == (0.03, 0.03, True)


def test_a_claim_falls_when_the_runs_are_too_improbable() -> None:
    assert row([-1] * 90 + [5] * 10).holds
    assert not row([-1] * 80 + [5] * 20).holds
    assert row([-1] * 80 + [5] * 20, claim=Claim.NONE).holds is None


def test_stops_before_there_was_anything_to_find_are_wrong() -> None:
    found = row([3, 150, 200, -1], [-50.0, 20.0, 40.0, 60.0], right_from=100)
    assert (found.stopped, found.false_rate, found.mean_requests) == (0.75, 0.25, 40.0)


def test_nothing_is_wrong_where_stopping_is_right_from_the_start() -> None:
    found = row([3, 4], right_from=0, claim=Claim.NONE)
    assert found.false_rate is None
    assert found.false_rate_upper is None


@pytest.mark.parametrize(("mean", "holds"), [(15.9, True), (16.1, False)])
def test_requests_are_held_against_the_limit(mean: float, holds: bool) -> None:
    found = row([1] * 50, [mean] * 50, right_from=0, claim=Claim.REQUESTS, limit_requests=10.0)
    assert found.holds is holds
    assert found.times_limit == pytest.approx(mean / 10.0)


def test_requests_without_a_limit_are_refused() -> None:
    with pytest.raises(ValueError, match="needs the information limit"):
        row([1], right_from=0, claim=Claim.REQUESTS)


@pytest.mark.parametrize(("missed", "holds"), [(5, False), (25, True), (40, True), (100, False)])
def test_coverage_is_a_band(missed: int, holds: bool) -> None:
    assert row([-1] * (500 - missed) + [1] * missed, claim=Claim.COVERAGE).holds is holds


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    assert upper_bound(0, 100, 0.05) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert lower_bound(100, 100, 0.05) == pytest.approx(0.05 ** (1 / 100))
    assert (lower_bound(0, 10, 0.05), upper_bound(10, 10, 0.05)) == (0.0, 1.0)
    assert lower_bound(7, 100, 0.05) < 0.07 < upper_bound(7, 100, 0.05)


def test_batches_merge() -> None:
    one, other = Outcome(np.array([1]), np.array([2.0])), Outcome(np.array([-1]), np.array([3.0]))
    merged = one + other
    np.testing.assert_array_equal(merged.positions, [1, -1])
    np.testing.assert_array_equal(merged.requests, [2.0, 3.0])
